import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from instore.errors import ArgumentsError
from instore.server.arguments import decoder_of
from tests.examples.support import gather, load, names_in, photograph, run_command, try_command

PHOTOGRAPHS = ["hubble_deep_field.jpg", "retina.jpg", "rocket.jpg"]


def webp(data: bytes | str, options: str = "") -> Image.Image:
    example = load("webp.py")
    result = example.transform(data, "photos/picture.jpg", decoder_of("WebP", example.Args)(options))
    assert isinstance(result, bytes)
    return Image.open(io.BytesIO(result))


def difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def test_folder_of_jpegs_becomes_a_folder_of_smaller_webps_that_look_the_same(tmp_path: Path) -> None:
    photos = gather(tmp_path / "photos", *map(photograph, PHOTOGRAPHS))
    run_command("webp.py", photos, tmp_path / "webp", "--args", '{"quality": 75}', "--ext", "jpg:webp")
    assert names_in(tmp_path / "webp") == ["hubble_deep_field.webp", "retina.webp", "rocket.webp"]
    for name in PHOTOGRAPHS:
        result = (tmp_path / "webp" / name).with_suffix(".webp")
        with Image.open(photos / name) as before, Image.open(result) as after:
            assert (after.format, after.size) == ("WEBP", before.size)
            assert difference(before, after.convert("RGB")) < 8
        assert result.stat().st_size < (photos / name).stat().st_size


def test_lossless_keeps_every_pixel(tmp_path: Path) -> None:
    photos = gather(tmp_path / "photos", photograph("rocket.jpg"))
    run_command("webp.py", photos, tmp_path / "webp", "--args", '{"lossless": true}', "--ext", "jpg:webp")
    with Image.open(photos / "rocket.jpg") as before, Image.open(tmp_path / "webp" / "rocket.webp") as after:
        assert before.tobytes() == after.convert("RGB").tobytes()


def test_lower_quality_takes_fewer_bytes() -> None:
    rocket, example = photograph("rocket.jpg").read_bytes(), load("webp.py")
    sizes = [len(example.transform(rocket, "", example.Args(quality))) for quality in (20, 50, 80)]  # type: ignore[arg-type]
    assert sizes == sorted(set(sizes))


def test_path_of_a_file_gives_the_same_as_its_bytes() -> None:
    rocket = photograph("rocket.jpg")
    assert webp(str(rocket)).tobytes() == webp(rocket.read_bytes()).tobytes()


def test_picture_of_a_turned_camera_comes_out_upright_with_its_other_exif_data() -> None:
    with Image.open(photograph("rocket.jpg")) as picture:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "A camera's maker"
        turned = io.BytesIO()
        picture.save(turned, "JPEG", exif=exif)
    result = webp(turned.getvalue())
    assert result.size == (427, 640)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(turned.getvalue())))
    assert difference(upright, result.convert("RGB")) < 8
    assert dict(result.getexif()) == {0x010F: "A camera's maker"}


def test_colour_profile_is_kept() -> None:
    with Image.open(photograph("rocket.jpg")) as rocket:
        assert webp(photograph("rocket.jpg").read_bytes()).info["icc_profile"] == rocket.info["icc_profile"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("{", "are not JSON"),
        ("75", "are neither a JSON object nor written like"),
        ("null", "are neither a JSON object"),
        ('{"qualty": 75}', "there is no argument 'qualty'; there are quality, lossless"),
        ('{"quality": 101}', "quality is 101; it takes a whole number from 0 to 100"),
        ("quality=-1", "quality is -1; it takes a whole number from 0 to 100"),
        ('{"quality": true}', "quality: Expected `int`, got `bool`"),
        ('{"quality": "high"}', "quality: Expected `int`, got `str`"),
        ('{"lossless": 1}', "lossless: Expected `bool`, got `int`"),
    ],
)
def test_bad_options_are_refused_with_what_they_take(options: str, complaint: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        webp(photograph("rocket.jpg").read_bytes(), options)
    assert complaint in str(caught.value)


def test_bad_options_stop_the_command_and_it_says_what_they_take(tmp_path: Path) -> None:
    photos = gather(tmp_path / "photos", photograph("rocket.jpg"))
    done = try_command("webp.py", photos, tmp_path / "webp", "--args", '{"quality": 101}')
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert not (tmp_path / "webp").exists() or not list((tmp_path / "webp").glob("*.webp"))
    assert "quality is 101; it takes a whole number from 0 to 100" in said


def test_file_that_is_no_jpeg_is_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match=r"^this is not a JPEG picture$"):
        webp(photograph("chelsea.png").read_bytes())
