"""A source that takes long to count: the job begins without the count, unless it depends on it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import pytest

from instore.errors import ConfigurationError, NothingSelectedError
from instore.etl.communicator import TransformRequest
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import Item, ItemResult, JobOptions
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
