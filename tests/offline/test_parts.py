"""`--part I/N`: parts of a job, at once or one after another, are the whole job."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import ConfigurationError, NothingSelectedError
from instore.offline.chosen import PartOfObjects
from instore.offline.folder_destination import PARTIAL, FolderDestination
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import Item, ItemState
from instore.offline.part import JobPart
from tests.offline.support import fill


@given(st.lists(st.text(st.characters(codec="utf-8")) | st.just("\udcff")), st.integers(1, 20))
def test_every_name_is_in_one_part(names: list[str], count: int) -> None:
    for name in names:
        assert sum(JobPart(index, count).has(name) for index in range(count)) == 1


def test_parts_are_about_as_large() -> None:
    names = [f"photos/{number:06d}.jpg" for number in range(8000)]
    sizes = [sum(JobPart(index, 8).has(name) for name in names) for index in range(8)]
    assert sum(sizes) == 8000
    assert all(850 < size < 1150 for size in sizes)


def test_parts_stay_what_they_are() -> None:
    """Other machines may have another version, and what is done is done."""
    assert [name for name in "abcdefgh" if JobPart(0, 3).has(name)] == ["a", "b", "e"]


@pytest.mark.parametrize(
    ("text", "variables", "part"),
    [
        ("3/8", {}, JobPart(3, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, JobPart(7, 8)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "COUNT": "4", "MIN": "0", "MAX": "3"}, JobPart(0, 4)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "4", "COUNT": "4", "MIN": "1", "MAX": "4"}, JobPart(3, 4)),
        ("auto/9", {"SLURM_ARRAY_TASK_ID": "4", "COUNT": "2", "MIN": "1", "MAX": "4"}, JobPart(4, 9)),
        ("auto/5", {"AWS_BATCH_JOB_ARRAY_INDEX": "2"}, JobPart(2, 5)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "3"}, JobPart(2, 3)),
    ],
)
def test_a_part_is_read(text: str, variables: dict[str, str], part: JobPart) -> None:
    assert JobPart.parse(text, slurm(variables)) == part


@pytest.mark.parametrize(
    ("text", "variables", "sentence"),
    [
        ("", {}, "is no part"),
        ("1", {}, "is no part"),
        ("-1/2", {}, "is no part"),
        ("a/2", {}, "is no part"),
        ("2/2", {}, "there is no part 2 of 2; the last is 1"),
        ("0/0", {}, "there is no part 0 of 0"),
        ("auto", {}, "is set; write I/N"),
        ("auto/4", {}, "is set; write I/N"),
        ("auto", {"JOB_COMPLETION_INDEX": "1"}, "the Job's completions"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}, "there is no part 2 of 2"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "x"}, "JOB_COMPLETION_INDEX is 'x', and no number"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "7", "COUNT": "2", "MIN": "3", "MAX": "7"}, "do not follow one another"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "7"}, "SLURM_ARRAY_TASK_MIN is '', and no number"),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "2"}, "AWS_BATCH_JOB_ARRAY_SIZE is ''"),
    ],
)
def test_what_is_no_part_is_refused(text: str, variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        JobPart.parse(text, slurm(variables))


def slurm(variables: dict[str, str]) -> dict[str, str]:
    short = ("COUNT", "MIN", "MAX")
    return {f"SLURM_ARRAY_TASK_{name}" if name in short else name: value for name, value in variables.items()}


def test_all_parts_of_a_source_are_the_source(tmp_path: Path) -> None:
    fill(tmp_path, [f"d{number % 3}/{number}" for number in range(50)])
    (tmp_path / "nowhere").symlink_to("gone")
    source = FolderSource(str(tmp_path))
    found = [item for index in range(4) for item in PartOfObjects(source, JobPart(index, 4), "").list()]
    assert sorted(found) == sorted(source.list())
    assert {item.state for item in found} == {ItemState.TODO, ItemState.SKIPPED}


def test_nothing_selected_at_all_is_an_error_and_nothing_in_a_part_is_none(tmp_path: Path) -> None:
    fill(tmp_path, ["a"])
    parts = [PartOfObjects(FolderSource(str(tmp_path)), JobPart(index, 3), "the prefix a") for index in range(3)]
    assert [len(list(part.list())) for part in parts] == [1, 0, 0]
    nothing = PartOfObjects(FolderSource(str(tmp_path), "b"), JobPart(0, 3), "the prefix b")
    with pytest.raises(NothingSelectedError, match="no object of SRC is selected by the prefix b"):
        list(nothing.list())


def destination(folder: Path, part: JobPart | None = None) -> FolderDestination:
    return FolderDestination(str(folder), part=part)


async def body() -> AsyncIterator[bytes]:
    yield b"x"


async def write(results: FolderDestination, name: str) -> None:
    written = await results.write(Item(name, ItemState.TODO), body(), "")
    assert await results.commit([(written, name)]) == [""]


def test_parts_write_into_one_folder_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with destination(tmp_path, JobPart(0, 2)) as first:
            waiting = await first.write(Item("a", ItemState.TODO), body(), "")
            async with destination(tmp_path, JobPart(1, 2)) as second:
                await write(second, "b")
            assert await first.commit([(waiting, "a")]) == [""]

    asyncio.run(check())
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("held", "wanted", "sentence"),
    [
        (JobPart(0, 2), JobPart(0, 2), "another command does part 0/2 and writes to"),
        (JobPart(0, 2), None, "another command is writing to"),
        (None, JobPart(0, 2), "another command is writing to"),
    ],
)
def test_nobody_else_writes_there_meanwhile(
    tmp_path: Path, held: JobPart | None, wanted: JobPart | None, sentence: str
) -> None:
    async def check() -> None:
        async with destination(tmp_path, held) as first:
            waiting = await first.write(Item("a", ItemState.TODO), body(), "")
            with pytest.raises(ConfigurationError, match=sentence):
                async with destination(tmp_path, wanted):
                    pass
            assert await first.commit([(waiting, "a")]) == [""]

    asyncio.run(check())
    assert os.listdir(tmp_path) == ["a"]


@contextlib.contextmanager
def leftovers(folder: Path, part: str) -> Iterator[Path]:
    """What a part that was killed has left."""
    path = folder / PARTIAL / part
    path.mkdir(parents=True)
    (folder / PARTIAL / "lock").touch()
    for name in ("lock", "0"):
        (path / name).touch()
    yield path


def test_what_a_killed_part_has_left_is_removed_by_itself_or_the_whole_job(tmp_path: Path) -> None:
    async def run(part: JobPart | None) -> None:
        async with destination(tmp_path, part) as results:
            await write(results, f"of {part.index if part else 'all'}")

    with leftovers(tmp_path, "part-0-of-2") as path:
        asyncio.run(run(JobPart(1, 2)))
        assert sorted(os.listdir(path)) == ["0", "lock"]
        asyncio.run(run(JobPart(0, 2)))
        assert sorted(os.listdir(tmp_path)) == ["of 0", "of 1"]
    with leftovers(tmp_path, "part-0-of-2"):
        asyncio.run(run(None))
        assert PARTIAL not in os.listdir(tmp_path)


def test_parts_that_come_and_go_keep_none_out(tmp_path: Path) -> None:
    async def one(index: int) -> None:
        for number in range(20):
            async with destination(tmp_path, JobPart(index, 8)) as results:
                await write(results, f"{index}-{number}")

    async def check() -> None:
        await asyncio.gather(*map(one, range(8)))

    asyncio.run(check())
    assert len(os.listdir(tmp_path)) == 160
