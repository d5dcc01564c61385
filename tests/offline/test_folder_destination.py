import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline.folder_destination import PARTIAL, FolderDestination
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import AT_ONCE, Item, ItemState
from instore.offline.plan import Plan
from tests.offline.support import fill, run, tree

ITEM = Item("x", ItemState.TODO)
KIND = "application/octet-stream"


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_a_result_has_no_name_until_it_is_committed(tmp_path: Path) -> None:
    async def check() -> None:
        async with FolderDestination(str(tmp_path)) as results:
            written = await results.write(ITEM, body(b"one", b"two", b"three"), KIND)
            assert os.listdir(tmp_path) == [PARTIAL]
            assert await results.commit([(written, "d/e/x")]) == [""]
            assert (written.size, (tmp_path / "d/e/x").read_bytes()) == (11, b"onetwothree")
            await results.flush()

    asyncio.run(check())
    assert os.listdir(tmp_path) == ["d"]


def test_one_bad_name_in_a_batch_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    async def check() -> None:
        async with FolderDestination(str(tmp_path)) as results:
            batch = [
                (await results.write(ITEM, body(b"x"), KIND), name)
                for name in ("a", "folder", "file/b", "n" * 256, "c")
            ]
            assert await results.commit(batch) == [
                "",
                "its result can't be called folder: a folder has that name",
                "its result can't be called file/b: Not a directory",
                f"its result can't be called {'n' * 256}: File name too long",
                "",
            ]
            assert os.listdir(tmp_path / PARTIAL) == ["lock"]

    asyncio.run(check())


@pytest.mark.parametrize("pieces", [(), (b"one",), (b"one", b"two")])
def test_a_body_that_breaks_leaves_nothing(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        raise ConnectionError

    async def check() -> None:
        async with FolderDestination(str(tmp_path)) as results:
            with pytest.raises(ConnectionError):
                await results.write(ITEM, breaking(), KIND)
            assert os.listdir(tmp_path / PARTIAL) == ["lock"]

    asyncio.run(check())


def test_a_second_command_is_refused_and_then_admitted(tmp_path: Path) -> None:
    async def check() -> None:
        async with FolderDestination(str(tmp_path)):
            with pytest.raises(ConfigurationError, match="another command is writing to"):
                async with FolderDestination(str(tmp_path)):
                    pass
        async with FolderDestination(str(tmp_path)):
            pass

    asyncio.run(check())


def test_what_a_killed_command_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / "7f").write_text("half")
    (tmp_path / PARTIAL / "lock").touch()

    async def check() -> None:
        async with FolderDestination(str(tmp_path)):
            assert os.listdir(tmp_path / PARTIAL) == ["lock"]

    asyncio.run(check())
    assert os.listdir(tmp_path) == []


def test_a_destination_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def check() -> None:
        async with FolderDestination(str(tmp_path / "file/dst")):
            pass

    with pytest.raises(ConfigurationError, match=r"can't write to DST .*: Not a directory"):
        asyncio.run(check())


class FoldingDestination(FolderDestination):
    """A folder on a file system for which names are the same that differ in case or in Unicode's forms only."""

    def _path(self, name: str) -> str:
        folder, slash, last = name.rpartition("/")
        return super()._path(folder + slash + unicodedata.normalize("NFC", last).casefold())


@pytest.mark.parametrize("names", [["README.md", "readme.md"], ["\xe9", "e\u0301"], ["d/A", "d/a"]])
def test_where_names_fold_the_second_of_two_is_an_error_and_the_first_is_kept(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path / "src", names)
    for _ in range(2):  # the second time the first one is there already
        seen = run(Plan(FolderSource(str(tmp_path / "src")), FoldingDestination(str(tmp_path / "dst"))), workers=2)
        first, second = sorted(names)
        assert seen.results[first].status in ("done", "already there")
        assert seen.errors() == {
            second: f"its result can't be called {second}: to DST's file system that is the name of another result"
        }
    assert list(tree(tmp_path / "dst").values()) == [f"OBJECT {first}".upper().encode()]


def test_where_names_fold_the_first_in_order_is_kept_of_a_large_folder_too(tmp_path: Path) -> None:
    pairs = [(f"A{number}", f"a{number}") for number in range(AT_ONCE)]
    fill(tmp_path / "src", [name for pair in pairs for name in pair])
    seen = run(Plan(FolderSource(str(tmp_path / "src")), FoldingDestination(str(tmp_path / "dst"))), workers=2)
    assert seen.statuses() == {name: how for pair in pairs for name, how in zip(pair, ("done", "failed"), strict=True)}


def test_a_name_is_taken_only_while_it_is_free_unless_results_may_be_replaced(tmp_path: Path) -> None:
    async def committed(overwrite: bool) -> list[str]:
        async with FolderDestination(str(tmp_path), overwrite) as results:
            stored = await results.write(ITEM, body(b"new"), KIND)
            (tmp_path / "x").write_bytes(b"old")  # made by someone else, after we have looked
            return await results.commit([(stored, "x")])

    (error,) = asyncio.run(committed(overwrite=False))
    assert error.startswith("its result can't be called x: a file has that name")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert asyncio.run(committed(overwrite=True)) == [""]
    assert (tmp_path / "x").read_bytes() == b"new"
