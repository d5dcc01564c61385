import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from instore.errors import ArgumentsError
from instore.server.arguments import decoder_of
from tests.examples.support import load, names_in, photograph, run_command, try_command

PHOTOGRAPHS = ["rocket.jpg", "chelsea.png", "coffee.png"]


def pdf(*photographs: str) -> bytes:
    """A document with a photograph on each page, 72 of whose points are an inch."""
    first, *others = [Image.open(photograph(name)).convert("RGB") for name in photographs]
    file = io.BytesIO()
    first.save(file, "PDF", save_all=True, append_images=others, resolution=72)
    return file.getvalue()


def pages(data: bytes | str, options: str = "dpi=72") -> list[tuple[str, Any]]:
    example: Any = load("pages.py")
    example.object = SimpleNamespace(name="a/report.pdf")
    results = example.transform_many(data, "documents/a/report.pdf", decoder_of("Pages", example.Args)(options))
    return [(result.name, Image.open(io.BytesIO(result.data))) for result in results]


def difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


def test_each_page_is_a_picture_of_it() -> None:
    made = pages(pdf(*PHOTOGRAPHS))
    assert [name for name, _ in made] == ["a/report/0001.png", "a/report/0002.png", "a/report/0003.png"]
    for (_, page), name in zip(made, PHOTOGRAPHS, strict=True):
        with Image.open(photograph(name)) as before:
            assert page.size == before.size
            assert difference(page, before) < 6


def test_a_folder_of_documents_becomes_a_folder_of_pages_and_a_broken_one_leaves_none(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    (documents / "sub").mkdir(parents=True)
    (documents / "one.pdf").write_bytes(pdf(*PHOTOGRAPHS))
    (documents / "sub" / "two.pdf").write_bytes(pdf("rocket.jpg"))
    run_command("pages.py", documents, tmp_path / "pages", "--args", "dpi=20")
    whole = ["one/0001.png", "one/0002.png", "one/0003.png", "sub/two/0001.png"]
    assert [name for name in names_in(tmp_path / "pages") if name.endswith(".png")] == whole
    (documents / "three.pdf").write_bytes(pdf(*PHOTOGRAPHS)[:-2000])
    done = try_command("pages.py", documents, tmp_path / "pages", "--args", "dpi=20")
    assert done.returncode == 1
    assert "three.pdf" in done.stdout + done.stderr
    assert [name for name in names_in(tmp_path / "pages") if name.endswith(".png")] == whole


def test_resolution_is_an_argument() -> None:
    ((_, page),) = pages(pdf("rocket.jpg"), "dpi=36")
    assert page.size == (320, 214)
    with pytest.raises(ArgumentsError, match="dpi is 1; it takes points per inch, from 10 to 2400"):
        pages(b"", "dpi=1")


def test_one_that_breaks_off_is_refused_wherever_it_does() -> None:
    data = pdf("rocket.jpg", "coffee.png")
    for length in range(0, len(data) - 10, len(data) // 50):
        with pytest.raises(ValueError, match=r"^this is not a (whole )?PDF"):
            pages(data[:length])


def test_what_is_no_pdf_or_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="this is not a PDF that can be read"):
        pages(b"%PDF-1.4 nothing %%EOF")
    with pytest.raises(ValueError, match=r"^page 1 has 9 by 6 inches, which is too large for 2400 dpi$"):
        pages(pdf("rocket.jpg"), "dpi=2400")


def test_a_path_gives_the_same_as_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "o.pdf"
    file.write_bytes(pdf("rocket.jpg"))
    ((_, by_path),), ((_, by_bytes),) = pages(str(file)), pages(file.read_bytes())
    assert by_path.tobytes() == by_bytes.tobytes()
