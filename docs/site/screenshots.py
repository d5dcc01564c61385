"""The pictures of the page in `docs/pictures/`: `make screenshots` takes them anew, from a node with real objects."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.docs.test_links import ROOT
from tests.examples.support import photograph
from tests.support.browser import Complaints, new_page, running_browser
from tests.support.node import RunningNode, running_node
from tests.ui.ship import ship

FOLDER = ROOT / "docs" / "pictures"
MOST = 150_000
"""Bytes of a picture at most."""
SCHEMES = ("light", "dark")
_WIDTH, _HEIGHT = 1000, 640
_COLOURS = 255


@contextmanager
def filled_node(folder: Path) -> Iterator[RunningNode]:
    """A node with photographs, texts and ETLs."""
    with running_node(folder) as node:
        client = node.client()
        ship(client)
        photos, texts = client.bucket("photos").create(), client.bucket("texts").create()
        photos.object("astronaut.png").get_writer().put_content(photograph("astronaut.png").read_bytes())
        for number in range(40):
            text = b"fail" if number == 17 else b"hello, store\n" * (number + 1)
            texts.object(f"{number:02}.txt").get_writer().put_content(text)
        yield node


def before_and_after(page: Any) -> None:
    """A photograph and its thumbnail."""
    _choose(page, "photos", "astronaut.png", "thumbnails")
    page.get_by_label("Arguments").fill("160")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("status").filter(has_text=" became ").wait_for()
    page.locator("figcaption").filter(has_text="160 × 160 pixels").wait_for()
    page.locator(".sides").scroll_into_view_if_needed()
    page.locator(".sides").evaluate("sides => sides.scrollIntoView()")


def form(page: Any) -> None:
    """An ETL with arguments of a type."""
    _choose(page, "texts", "03.txt", "with-args")
    page.get_by_label("side").fill("64")
    page.get_by_role("group", name="Arguments").evaluate("form => form.scrollIntoView({block: 'center'})")


def job(page: Any) -> None:
    """A job over a bucket, in which an object fails."""
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("From the bucket").select_option(label="ais://texts")
    page.get_by_label("Into the bucket").fill("loud")
    page.get_by_role("combobox", name="ETL", exact=True).select_option("upper-etl")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("status").filter(has_text="Finished with errors").wait_for()
    page.locator("#job").evaluate("job => job.scrollIntoView()")


def error(page: Any) -> None:
    """An object that fails, with the ETL's log."""
    _choose(page, "texts", "17.txt", "upper-etl")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("region", name="Error").wait_for()
    page.get_by_role("region", name="Error").evaluate("failure => failure.scrollIntoView({block: 'end'})")


SCENES = {"before-and-after": before_and_after, "form": form, "job": job, "error": error}


def _choose(page: Any, bucket: str, name: str, etl: str) -> None:
    page.get_by_role("combobox", name="Bucket", exact=True).select_option(label=f"ais://{bucket}")
    page.get_by_role("listbox", name="Objects").select_option(name)
    page.get_by_role("combobox", name="ETL", exact=True).select_option(etl)


def take(folder: Path = FOLDER) -> None:
    """Write every picture, in light and in dark."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data, running_browser() as browser, filled_node(Path(data)) as node:
        for scene, play in SCENES.items():
            for scheme in SCHEMES:
                viewport = {"width": _WIDTH, "height": _HEIGHT}
                page = new_page(browser, Complaints(), viewport=viewport, color_scheme=scheme)
                page.goto(f"{node.endpoint}/ui")
                play(page)
                _save(page.screenshot(), folder / f"{scene}-{scheme}.png")
                page.context.close()


def _save(png: bytes, file: Path) -> None:
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MOST:
        raise ValueError(f"{file} has {file.stat().st_size} bytes; it may have {MOST}")
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    take()
