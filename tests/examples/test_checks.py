"""Each example's class gives the same in every way that it can be asked, and nothing for a part of an object.

Not `deduplicate`: what it makes of an object depends on those that came before.
"""

import io
import json
import operator
from collections.abc import Callable, Mapping

import numpy
import pytest
from PIL import Image

from instore.testing import check
from tests.examples.support import EXAMPLES, airports, package_folder, photograph

Samples = Mapping[str, bytes]


def near(one: bytes, other: bytes) -> bool:
    """Whether two embeddings mean the same: in a batch a text is padded, which may change the last digits."""
    rows, others = (numpy.load(io.BytesIO(data)) for data in (one, other))
    return rows.shape == others.shape and bool(numpy.allclose((rows * others).sum(axis=1), 1, atol=0.01))


def near_kinds(one: bytes, other: bytes) -> bool:
    found, others = json.loads(one), json.loads(other)
    return bool(found["kind"] == others["kind"] and abs(found["score"] - others["score"]) < 0.01)


def texts() -> Samples:
    return {
        "texts/sub/a.txt": b"to a@example.org, 4111 1111 1111 1111\n",
        "texts/b.csv": airports().read_bytes()[:1000],
    }


def tables() -> Samples:
    lines = airports().read_bytes().splitlines(keepends=True)
    return {"tables/a.csv": b"a,b\n1,x\n2,y\n", "tables/airports.csv": b"".join(lines[:100])}


def pictures() -> Samples:
    return {"photos/a/rocket.jpg": photograph("rocket.jpg").read_bytes()}


def sounds() -> Samples:
    return {"sounds/a.wav": min((package_folder("chime") / "themes" / "material").glob("*.wav")).read_bytes()}


def documents() -> Samples:
    pages = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    return {"documents/a/report.pdf": file.getvalue()}


CHECKED: dict[str, tuple[Callable[[], Samples], str, Callable[[bytes, bytes], bool]]] = {
    # (samples, arguments, whether two results are alike)
    "checksums": (lambda: {"texts/a/b.txt": b"a", "texts/b.txt": b""}, "", operator.eq),
    "command": (texts, "", operator.eq),
    "embeddings": (texts, "", near),
    "filetypes": (lambda: {**texts(), **pictures()}, "", near_kinds),
    "filter_lines": (texts, "example|Air", operator.eq),
    "pages": (documents, "dpi=72", operator.eq),
    "parquet": (tables, "", operator.eq),
    "redact": (texts, "region=US", operator.eq),
    "resample": (sounds, "", operator.eq),
    "thumbnails": (pictures, "64", operator.eq),
    "webp": (pictures, "quality=50", operator.eq),
}


@pytest.mark.parametrize("example", CHECKED)
def test_every_way_gives_the_same(example: str) -> None:
    samples, args, same = CHECKED[example]
    check(EXAMPLES / f"{example}.py", samples(), args, same=same)


def test_what_is_not_checked_has_a_memory_or_is_no_class() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} - set(CHECKED) == {"deduplicate", "first_etl"}
