"""Make a thumbnail of every picture: a JPEG that fits a square box and stands upright, whatever the camera's angle.

    instore transform examples/thumbnails.py photos thumbnails --args 256 --ext png:jpg

`etl_args` is the side of the box in pixels, 256 if it is left out. A picture that already fits is not enlarged.
Grey pictures of 16 bits keep their brightness; those of 32 bits, whole numbers or fractions, have no black and no white
of their own: their darkest point becomes black, their brightest white.
"""

import io
import math
from typing import cast

from PIL import Image, ImageOps, UnidentifiedImageError

from instore import ETLServer

PROFILE_OF = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}  # a JPEG's modes, and the colours of a profile for each
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


class Thumbnails(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        size = read_size(etl_args)
        try:
            picture = Image.open(data if isinstance(data, str) else io.BytesIO(data))
        except UnidentifiedImageError:
            raise ValueError("this is not a picture in any format that Pillow reads") from None
        with picture:
            picture.draft(None, (2 * size, 2 * size))  # lets the JPEG decoder leave out detail we don't need
            thumbnail = on_white(of_8_bits(ImageOps.exif_transpose(picture), picture.format or ""))
            thumbnail.thumbnail((size, size))
            profile: bytes = picture.info.get("icc_profile") or b""
            result = io.BytesIO()
            fits = profile[16:20] == PROFILE_OF[thumbnail.mode]
            thumbnail.save(result, "JPEG", quality=85, icc_profile=profile if fits else None)
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "image/jpeg"


def read_size(etl_args: str) -> int:
    size = etl_args or "256"
    if not size.isdecimal() or int(size) == 0:
        raise ValueError(f"etl_args is {etl_args!r}; give the thumbnail's side in pixels, for example 256")
    return int(size)


def of_8_bits(picture: Image.Image, format: str) -> Image.Image:
    """Grey of 16 or 32 bits, which would be cut off at 255."""
    if picture.mode in SIXTEEN_BITS or (picture.mode == "I" and format in ("PNG", "PPM")):
        darkest, brightest = 0.0, 65535.0
    elif picture.mode in ("I", "F"):
        darkest, brightest = cast(tuple[float, float], picture.getextrema())
    else:
        return picture
    if not math.isfinite(brightest - darkest):
        raise ValueError("this picture has points that are not finite numbers, so its range is not known")
    scale = 255.0 / ((brightest - darkest) or 1.0)
    return picture.convert("F").point(lambda value: value * scale - darkest * scale).convert("L")


def on_white(picture: Image.Image) -> Image.Image:
    """JPEG knows no transparency: lay what has some on white."""
    if picture.mode in PROFILE_OF:
        return picture
    layer = picture.convert("RGBA")
    grey = picture.mode in ("1", "LA", "La")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("L" if grey else "RGB")
