"""Convert JPEG pictures to WebP, which takes far fewer bytes for nearly the same look.

    instore transform examples/webp.py photos webp --args '{"quality": 75}' --ext jpg:webp

Arguments, as JSON or as `quality=75&lossless=true`: `quality`, 0 to 100 (default 80), and `lossless` (default false).
"""

import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from instore import ETLServer


@dataclass
class Options:
    quality: int = 80
    lossless: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it takes a whole number from 0 to 100")


class WebP(ETLServer):
    Args = Options

    def transform(self, data: bytes | str, path: str, args: Options) -> bytes:
        try:
            picture = Image.open(data if isinstance(data, str) else io.BytesIO(data), formats=["JPEG"])
        except UnidentifiedImageError:
            raise ValueError("this is not a JPEG picture") from None
        with picture:
            upright = ImageOps.exif_transpose(picture)
            exif = upright.info.get("exif", b"")
            profile = upright.info.get("icc_profile") if upright.mode == "RGB" else None  # WebP knows RGB only
            result = io.BytesIO()
            upright.save(result, "WEBP", quality=args.quality, lossless=args.lossless, exif=exif, icc_profile=profile)
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "image/webp"
