"""A file that changes while it is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from instore.errors import SourceError
from instore.protocol.names import escape_fqn
from instore.server.files import FileRules
from tests.support.servers import TRANSFORMS, running

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


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(DATA)
    os.utime(other, (0, 0))
    other.replace(file)


def link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [append, overwrite, cut, replace, link, Path.unlink])
def test_a_path_whose_file_is_another_one_afterwards_is_an_error(
    file: Path, rules: FileRules, change: Callable[[Path], None]
) -> None:
    with pytest.raises(SourceError, match=r"changed|replaced|gone"), rules.path(str(file)) as path:  # noqa: PT012
        assert path == str(file)
        change(file)


def test_a_path_is_given_for_a_file_that_stays(file: Path, rules: FileRules) -> None:
    with rules.path(str(file)) as path:
        assert Path(path).read_bytes() == DATA
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with rules.path(str(file)):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


SWAPS = TRANSFORMS / "swaps.py"


def test_what_a_transform_read_by_a_path_that_was_swapped_is_not_delivered(tmp_path: Path, store: Path) -> None:
    variables = {"ETL_DIRECT_FQN": "true"}
    (store / "swapped").write_bytes(b"cat")
    url = f"/b/o?etl_fqn={escape_fqn(str(store / 'swapped'))}"
    with running(tmp_path, SWAPS, environment=variables) as server:
        assert requests.put(server.url + url).content == b"cat"
        answer = requests.put(f"{server.url}{url}&etl_args=swap")
        assert (answer.status_code, "root:" in answer.text) == (500, False)
        assert "was replaced by another file since it was opened" in answer.text
