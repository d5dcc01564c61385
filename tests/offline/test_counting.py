"""A source that takes long to count: the job begins without the count, unless it depends on it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest

from instore.errors import ConfigurationError, JobFailedError, NothingSelectedError
from instore.etl.communicator import TransformRequest
from instore.offline.chosen import MatchingObjects, NamedObjects, PartOfObjects
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import AT_ONCE, NOT_THERE, Item, ItemResult, JobOptions
from instore.offline.part import JobPart
from instore.offline.patterns import matcher
from instore.offline.plan import Plan
from instore.offline.settings import FailureLimit
from tests.offline.support import Seen, arun, fill, plan, tree

NAMES = ["a.jpg", "a.png", "b"]


@dataclass
class Watching(Seen):
    """It remembers the order of what it hears, and whether the job has begun, and one object is done."""

    order: list[str] = field(default_factory=list)
    has_begun: Event = field(default_factory=Event)
    has_result: Event = field(default_factory=Event)

    def started(self) -> None:
        self.order.append("started")
        self.has_begun.set()

    def counted(self, todo: int) -> None:
        super().counted(todo)
        self.order.append("counted")

    def settled(self, result: ItemResult) -> None:
        super().settled(result)
        self.order.append(result.item.name)
        self.has_result.set()


class Halting:
    """A folder's files, as a source: it tells the first `least`, and the others once something has come to pass."""

    file_root = prefix = ""

    def __init__(self, folder: Path, until: Event, least: int = 1) -> None:
        self._folder = FolderSource(str(folder))
        self._until = until
        self._least = least
        self.file_root = self._folder.file_root

    def path(self, item: Item) -> str:
        return self._folder.path(item)

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        return self._folder.request(item, etl_args)

    def list(self) -> Iterator[Item]:
        for number, item in enumerate(self._folder.list()):
            if number >= self._least:
                assert self._until.wait(60)
            yield item
        assert self._until.wait(60)

    def has(self, name: str) -> bool:
        return self._folder.has(name)


def test_the_job_begins_before_all_objects_have_been_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instore.offline.engine._BATCH", 1)
    fill(tmp_path / "src", NAMES)
    seen = Watching()
    what = replace(plan(tmp_path / "src", tmp_path / "dst"), source=Halting(tmp_path / "src", seen.has_result))
    assert asyncio.run(arun(what, seen))
    assert seen.order[:2] == ["started", "a.jpg"]
    assert seen.order.count("counted") == 1
    assert seen.errors() == {}
    assert sorted(tree(tmp_path / "dst")) == NAMES


@pytest.mark.parametrize("part", ["", "0/1"])
def test_the_job_begins_before_all_of_a_list_is_read(tmp_path: Path, part: str) -> None:
    names = [f"{number:03}" for number in range(2 * AT_ONCE)]
    fill(tmp_path / "src", names)
    seen = Watching()

    def given() -> Iterator[str]:
        for number, name in enumerate(reversed(names)):
            if number == AT_ONCE + 1:
                assert seen.has_result.wait(60)
            yield from (name, names[-1], f"none{number}") if number % 100 == 0 else (name,)

    what = plan(tmp_path / "src", tmp_path / "dst")
    source = NamedObjects(what.source, given(), at_once=True)
    what = replace(what, source=PartOfObjects(source, JobPart(0, 1), "") if part else source)
    assert asyncio.run(arun(what, seen))
    assert seen.todo == len(names)
    assert seen.errors() == {f"none{number}": NOT_THERE for number in range(0, len(names), 100)}
    assert sorted(tree(tmp_path / "dst")) == names


def test_a_list_of_which_not_all_can_be_read_ends_the_job(tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(2 * AT_ONCE)]
    fill(tmp_path / "src", names)
    seen = Watching()

    def given() -> Iterator[str]:
        yield from names[: AT_ONCE + 1]
        assert seen.has_result.wait(60)
        raise ConfigurationError("the disk has gone")

    what = plan(tmp_path / "src", tmp_path / "dst")
    what = replace(what, source=NamedObjects(what.source, given(), at_once=True))
    with pytest.raises(JobFailedError, match="the disk has gone"):
        asyncio.run(arun(what, seen))
    assert set(seen.statuses()) <= set(names)
    with pytest.raises(JobFailedError, match="the disk has gone"):
        list(what.source.list())


@pytest.mark.parametrize("pattern", ["*", "*5"])
def test_a_large_folder_is_done_whole_and_each_file_once(tmp_path: Path, pattern: str) -> None:
    names = [f"{folder}{number}" for folder in ("", "d/", "d/e/") for number in range(AT_ONCE + 10)]
    fill(tmp_path / "src", names)
    wanted = sorted(name for name in names if pattern == "*" or name.endswith("5"))
    for status in ("done", "already there"):
        what = plan(tmp_path / "src", tmp_path / "dst")
        what = replace(what, source=MatchingObjects(what.source, matcher([pattern], [])))
        seen = Watching()
        assert asyncio.run(arun(what, seen, JobOptions(workers=2)))
        assert seen.statuses() == dict.fromkeys(wanted, status)
        assert seen.order.count("counted") == 1
    assert sorted(tree(tmp_path / "dst")) == wanted
    assert [item.name for item in what.checked_items()] == wanted


def test_that_nothing_is_selected_is_said_once_all_objects_have_been_seen(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    seen = Watching()
    what = plan(tmp_path / "src", tmp_path / "dst")
    what = replace(what, source=Halting(tmp_path / "src", seen.has_begun), selection="--include x")
    with pytest.raises(NothingSelectedError, match="--include x"):
        asyncio.run(arun(what, seen))


def test_two_objects_that_want_one_result_are_found_before_anything_is_done(tmp_path: Path) -> None:
    fill(tmp_path / "src", NAMES)
    soon, seen = Event(), Watching()
    what = plan(tmp_path / "src", tmp_path / "dst", extensions=("jpg:gif", "png:gif"))
    what = replace(what, source=Halting(tmp_path / "src", soon, least=2))
    asyncio.run(_later(soon, what, seen))
    assert seen.order == []


async def _later(soon: Event, what: Plan, seen: Watching) -> None:
    job = asyncio.ensure_future(arun(what, seen))
    await asyncio.wait({job}, timeout=1)
    soon.set()
    with pytest.raises(ConfigurationError, match=r"would both become a\.gif"):
        await job


def test_a_share_of_the_objects_may_fail_only_once_they_are_counted(tmp_path: Path) -> None:
    fill(tmp_path / "src", NAMES)
    soon, seen = Event(), Watching()
    what = replace(plan(tmp_path / "src", tmp_path / "dst"), source=Halting(tmp_path / "src", soon))

    async def run() -> None:
        job = asyncio.ensure_future(arun(what, seen, JobOptions(), limit=FailureLimit.parse("", "50%")))
        await asyncio.wait({job}, timeout=1)
        assert seen.order == []
        soon.set()
        assert await job

    asyncio.run(run())
    assert seen.order[:2] == ["counted", "started"]
    assert seen.todo == len(NAMES)
