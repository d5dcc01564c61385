"""Make a thumbnail of every picture: a JPEG that fits a square box and stands upright, whatever the camera's angle.

    instore transform examples/thumbnails.py photos thumbnails --args 256 --ext png:jpg

`etl_args` is the side of the box in pixels, 256 if it is left out. A picture that already fits is not enlarged.
"""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from instore import ETLServer

JPEG_MODES = ("L", "RGB", "CMYK")


class Thumbnails(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        size = read_size(etl_args)
        try:
            picture = Image.open(data if isinstance(data, str) else io.BytesIO(data))
        except UnidentifiedImageError:
            raise ValueError("this is not a picture in any format that Pillow reads") from None
        with picture:
            picture.draft(None, (2 * size, 2 * size))  # lets the JPEG decoder leave out detail we don't need
            thumbnail = on_white(ImageOps.exif_transpose(picture))
            thumbnail.thumbnail((size, size))
            result = io.BytesIO()
            thumbnail.save(result, "JPEG", quality=85, icc_profile=picture.info.get("icc_profile"))
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "image/jpeg"


def read_size(etl_args: str) -> int:
    size = etl_args or "256"
    if not size.isdecimal() or int(size) == 0:
        raise ValueError(f"etl_args is {etl_args!r}; give the thumbnail's side in pixels, for example 256")
    return int(size)


def on_white(picture: Image.Image) -> Image.Image:
    """JPEG knows no transparency: lay what has some on white."""
    if picture.mode in JPEG_MODES:
        return picture
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
