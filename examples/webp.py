"""Convert JPEG pictures to WebP, which takes far fewer bytes for nearly the same look.

    instore transform examples/webp.py photos webp --args '{"quality": 75}' --ext jpg:webp

`etl_args` is JSON: `quality`, 0 to 100 (default 80), and `lossless`, true or false (default false).
"""

import io
import json

from PIL import Image, ImageOps, UnidentifiedImageError

from instore import ETLServer


class WebP(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        quality, lossless = read_options(etl_args)
        try:
            picture = Image.open(data if isinstance(data, str) else io.BytesIO(data), formats=["JPEG"])
        except UnidentifiedImageError:
            raise ValueError("this is not a JPEG picture") from None
        with picture:
            upright = ImageOps.exif_transpose(picture)
            exif = upright.info.get("exif", b"")
            profile = upright.info.get("icc_profile") if upright.mode == "RGB" else None  # WebP knows RGB only
            result = io.BytesIO()
            upright.save(result, "WEBP", quality=quality, lossless=lossless, exif=exif, icc_profile=profile)
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "image/webp"


def read_options(etl_args: str) -> tuple[int, bool]:
    options = {"quality": 80, "lossless": False}
    example = json.dumps(options)
    try:
        given = json.loads(etl_args or "{}")
    except ValueError as error:
        raise ValueError(f"etl_args is not JSON ({error}); write, for example, {example}") from None
    if not isinstance(given, dict) or given.keys() - options.keys():
        raise ValueError(f"etl_args is {etl_args}; it takes an object with no more than these: {example}")
    options |= given
    if type(options["quality"]) is not int or not 0 <= options["quality"] <= 100:
        raise ValueError(f"quality is {json.dumps(options['quality'])}; it takes a whole number from 0 to 100")
    if type(options["lossless"]) is not bool:
        raise ValueError(f"lossless is {json.dumps(options['lossless'])}; it takes true or false")
    return options["quality"], options["lossless"]
