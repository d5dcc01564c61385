import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from tests.examples.support import gather, load, names_in, photograph, run_command

PHOTOGRAPHS = ["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "moon.png", "retina.jpg", "rocket.jpg"]


def open_bytes(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def thumbnail(data: bytes | str, size: str = "") -> Image.Image:
    result = load("thumbnails.py").transform(data, "photos/picture", size)
    assert isinstance(result, bytes)
    return open_bytes(result)


def difference(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures of one size are apart: the mean over all pixels and colours, 0 to 255."""
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return sum(ImageStat.Stat(apart).mean) / 3


def test_folder_of_photographs_becomes_a_folder_of_thumbnails(tmp_path: Path) -> None:
    photos = gather(tmp_path / "photos", *map(photograph, PHOTOGRAPHS[:5]))
    gather(photos / "more", *map(photograph, PHOTOGRAPHS[5:]))
    run_command("thumbnails.py", photos, tmp_path / "small", "--args", "128", "--ext", "png:jpg", "--workers", "2")
    expected = [str(Path(name).with_suffix(".jpg")) for name in names_in(photos)]
    assert names_in(tmp_path / "small") == expected
    for original, small in zip(names_in(photos), expected, strict=True):
        with Image.open(photos / original) as before, Image.open(tmp_path / "small" / small) as after:
            assert after.format == "JPEG"
            assert max(after.size) == 128
            assert abs(after.width / after.height - before.width / before.height) < 0.02
            assert difference(before.convert("RGB").resize(after.size, Image.Resampling.LANCZOS), after) < 8


def test_size_is_256_when_there_are_no_arguments() -> None:
    assert thumbnail(photograph("rocket.jpg").read_bytes()).size == (256, 171)


def test_picture_that_fits_is_not_enlarged() -> None:
    assert thumbnail(photograph("coffee.png").read_bytes(), "5000").size == (600, 400)


def test_path_of_a_file_gives_the_same_as_its_bytes() -> None:
    rocket = photograph("rocket.jpg")
    assert thumbnail(str(rocket)) == thumbnail(rocket.read_bytes())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_of_a_turned_camera_comes_out_upright(orientation: int, kind: str) -> None:
    with Image.open(photograph("rocket.jpg")) as picture:
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = io.BytesIO()
        picture.save(turned, kind, exif=exif)
    upright = ImageOps.exif_transpose(open_bytes(turned.getvalue()))
    small = thumbnail(turned.getvalue(), "128")
    assert small.size == ((128, 85) if orientation <= 4 else (85, 128))
    assert difference(upright.resize(small.size, Image.Resampling.LANCZOS), small) < 8
    assert 0x0112 not in small.getexif()


def test_transparent_parts_become_white() -> None:
    with Image.open(photograph("chelsea.png")) as cat:
        cat.putalpha(Image.linear_gradient("L").resize(cat.size))  # from nothing at the top to all at the bottom
        fading = io.BytesIO()
        cat.save(fading, "PNG")
    small = thumbnail(fading.getvalue())
    upper_edge, lower_edge = (0, 0, small.width, 4), (0, small.height - 4, small.width, small.height)
    assert small.mode == "RGB"
    assert difference(Image.new("RGB", (small.width, 4), "white"), small.crop(upper_edge)) < 8
    assert difference(cat.resize(small.size).crop(lower_edge), small.crop(lower_edge)) < 8


def test_grey_picture_stays_grey() -> None:
    assert thumbnail(photograph("camera.png").read_bytes()).mode == "L"


def deep(mode: str, low: float, high: float) -> Image.Image:
    """The photograph in grey of another depth, its 0 to 255 spread from `low` to `high`."""
    with Image.open(photograph("camera.png")) as camera:
        scale = (high - low) / 255
        spread = camera.convert("L").convert("F").point(lambda value: value * scale + low)
        return spread if mode == "F" else spread.convert("I").convert(mode)


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (deep("I;16", 0, 65535), "PNG"),
        (deep("I;16", 0, 65535), "TIFF"),
        (deep("I", 0, 65535), "PPM"),
        (deep("I", -70000, 900000), "TIFF"),
        (deep("F", 0, 1), "TIFF"),
        (deep("F", -1e6, 3e6), "TIFF"),
    ],
    ids=["16 bits", "16 bits TIFF", "16 bits PGM", "32 bits", "fractions", "large fractions"],
)
def test_grey_of_more_bits_looks_the_same(picture: Image.Image, kind: str) -> None:
    file = io.BytesIO()
    picture.save(file, kind)
    small = thumbnail(file.getvalue())
    assert small.mode == "L"
    assert difference(small, thumbnail(photograph("camera.png").read_bytes())) < 3


def test_a_dark_picture_of_16_bits_stays_dark() -> None:
    file = io.BytesIO()
    deep("I;16", 0, 6553).save(file, "PNG")
    brightest = thumbnail(file.getvalue()).getextrema()[1]
    assert isinstance(brightest, int | float)
    assert brightest < 32


def test_a_picture_without_a_range_is_refused() -> None:
    file = io.BytesIO()
    picture = Image.new("F", (8, 8), 0.5)
    picture.putpixel((3, 3), float("inf"))
    picture.save(file, "TIFF")
    with pytest.raises(ValueError, match="not finite numbers"):
        thumbnail(file.getvalue())


def test_grey_with_transparency_stays_grey_and_a_profile_of_other_colours_is_left_out() -> None:
    with Image.open(photograph("rocket.jpg")) as rocket:
        file = io.BytesIO()
        rocket.convert("LA").save(file, "PNG", icc_profile=rocket.info["icc_profile"])
    small = thumbnail(file.getvalue())
    assert small.mode == "L"
    assert "icc_profile" not in small.info


def test_colour_profile_is_kept() -> None:
    with Image.open(photograph("rocket.jpg")) as rocket:
        assert thumbnail(photograph("rocket.jpg").read_bytes()).info["icc_profile"] == rocket.info["icc_profile"]


@pytest.mark.parametrize("size", ["0", "-3", "2.5", "big"])
def test_bad_size_is_refused_with_an_example(size: str) -> None:
    with pytest.raises(ValueError, match=rf"^etl_args is '{size}'; .* for example 256$"):
        thumbnail(b"", size)


def test_file_that_is_no_picture_is_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match=r"^this is not a picture in any format that Pillow reads$"):
        thumbnail(Path(__file__).read_bytes())


def test_picture_that_was_cut_off_is_refused() -> None:
    with pytest.raises(OSError, match="truncated"):
        thumbnail(photograph("rocket.jpg").read_bytes()[:50_000])
