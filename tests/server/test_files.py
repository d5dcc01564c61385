"""A file that changes while it is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from instore.errors import SourceError
from instore.server.files import FileRules

DATA = b"cat" * 200_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cat"
    path.write_bytes(DATA)
    os.utime(path, (0, 0))  # the clock of a file system has ticks
    return path


@pytest.fixture
def rules(tmp_path: Path) -> FileRules:
    return FileRules([str(tmp_path)])


def append(file: Path) -> None:
    with file.open("ab") as output:
        output.write(b"more")


def overwrite(file: Path) -> None:
    with file.open("r+b") as output:
        output.write(b"dog")


def cut(file: Path) -> None:
    os.truncate(file, 1000)


CHANGES = pytest.mark.parametrize("change", [append, overwrite, cut])


@CHANGES
@pytest.mark.parametrize("size", [-1, 1000], ids=["all", "in parts"])
def test_what_is_left_of_a_changed_file_is_an_error(
    file: Path, rules: FileRules, change: Callable[[Path], None], size: int
) -> None:
    with rules.reader(str(file)) as reader:
        reader.read(10)
        change(file)
        with pytest.raises(SourceError, match=r"changed while it was read: 600000 bytes when opened"):
            list(iter(lambda: reader.read(size), b""))
        assert isinstance(reader.failure, SourceError)


@CHANGES
def test_whoever_reads_a_part_learns_at_the_end_that_it_changed(
    file: Path, rules: FileRules, change: Callable[[Path], None]
) -> None:
    with rules.reader(str(file)) as reader:
        assert reader.read(3) == b"cat"
        assert reader.failure is None
        change(file)
        assert isinstance(reader.failure, SourceError)


def test_who_closes_the_reader_is_told_the_same(file: Path, rules: FileRules) -> None:
    whole, changed = rules.reader(str(file)), rules.reader(str(file))
    whole.close()
    overwrite(file)
    changed.close()
    assert whole.failure is None
    assert isinstance(changed.failure, SourceError)


def test_a_file_that_is_replaced_or_removed_stays_what_was_opened(file: Path, rules: FileRules) -> None:
    with rules.reader(str(file)) as reader:
        start = reader.read(10)
        other = file.with_name("other")
        other.write_bytes(b"dog" * 100)
        other.replace(file)
        file.unlink()
        assert start + reader.read() == DATA
        assert reader.failure is None


def test_a_file_whose_size_is_not_its_length_is_an_error() -> None:
    rules = FileRules([f"/proc/{os.getpid()}"])
    path = f"/proc/{os.getpid()}/status"
    with pytest.raises(SourceError, match="0 bytes when opened"):
        rules.read(path)
    with rules.reader(path) as reader, pytest.raises(SourceError, match="0 bytes when opened"):
        reader.read()
