"""The pictures of the page: each is there, in light and in dark, and small."""

import pytest
from PIL import Image

from docs.site.screenshots import FOLDER, MOST, SCENES, SCHEMES


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("scene", SCENES)
def test_each_picture_is_there_and_small(scene: str, scheme: str) -> None:
    file = FOLDER / f"{scene}-{scheme}.png"
    assert file.stat().st_size < MOST
    with Image.open(file) as picture:
        middle = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
        assert isinstance(middle, tuple)
        assert (sum(middle) < 384) == (scheme == "dark")


def test_there_is_no_other() -> None:
    assert len(list(FOLDER.iterdir())) == len(SCENES) * len(SCHEMES)
