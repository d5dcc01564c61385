import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.examples.support import airports, gather, load, names_in, photograph, run_command


def checksum_line(data: bytes, path: str, bucket: str = "photos") -> bytes:
    example: Any = load("checksums.py")
    example.object = SimpleNamespace(bucket=bucket)
    return b"".join(example.transform_stream(io.BytesIO(data), path, ""))


def test_lines_of_a_folder_are_those_of_hashlib_with_the_names_as_they_lie_in_it(tmp_path: Path) -> None:
    files = gather(tmp_path / "files", airports(), photograph("rocket.jpg"))
    gather(files / "more photos" / "cats", photograph("chelsea.png"))
    (files / "empty").touch()
    run_command("checksums.py", files, tmp_path / "sums")
    assert names_in(tmp_path / "sums") == names_in(files)
    for name in names_in(files):
        digest = hashlib.sha256((files / name).read_bytes()).hexdigest()
        assert (tmp_path / "sums" / name).read_text() == f"{digest}  {name}\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("photos/cat.jpg", "cat.jpg"),
        ("photos/a/b/cat.jpg", "a/b/cat.jpg"),
        ("photos/@home/cat.jpg", "@home/cat.jpg"),
        ("ais/@#/photos/a/cat.jpg", "a/cat.jpg"),
        ("aws/@team#one/photos/cat.jpg", "cat.jpg"),
    ],
)
def test_name_is_the_objects_without_its_bucket(path: str, name: str) -> None:
    assert checksum_line(b"cat", path) == f"{hashlib.sha256(b'cat').hexdigest()}  {name}\n".encode()


def test_name_that_comes_without_a_bucket_is_whole() -> None:
    assert checksum_line(b"cat", "a/b/cat.jpg", bucket="").endswith(b"  a/b/cat.jpg\n")


def test_name_that_would_break_the_line_is_escaped_as_sha256sum_does() -> None:
    digest = hashlib.sha256(b"cat").hexdigest().encode()
    assert checksum_line(b"cat", "photos/two\nlines\\cat\r") == b"\\" + digest + rb"  two\nlines\\cat\r" + b"\n"


def test_name_that_is_not_utf8_keeps_its_bytes() -> None:
    assert checksum_line(b"cat", b"photos/caf\xe9".decode(errors="surrogateescape")).endswith(b"  caf\xe9\n")
