"""A job over real folders with fake workers, and what came of it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from instore.offline.interfaces import ItemResult, JobOptions, ShardMembers
from instore.offline.maker import Maker
from instore.offline.plan import Plan, make_plan
from instore.offline.run import run as run_plan
from instore.offline.settings import FailureLimit
from instore.offline.workers import WorkerProcesses
from instore.protocol.result_frames import ResultHead

FAKE = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]


@dataclass
class Seen:
    """An observer that remembers."""

    results: dict[str, ItemResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    shards: list[ShardMembers] = field(default_factory=list)
    bytes: int = 0
    todo: int = 0

    def started(self) -> None:
        pass

    def counted(self, todo: int) -> None:
        self.todo = todo

    def settled(self, result: ItemResult) -> None:
        assert result.item.name not in self.results
        self.results[result.item.name] = result

    def made(self, shard: ShardMembers) -> None:
        self.shards.append(shard)

    def received(self, size: int) -> None:
        self.bytes += size

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def printed(self, worker: int, line: str) -> None:
        self.lines.append((worker, line))

    def errors(self) -> dict[str, str]:
        return {name: result.error for name, result in self.results.items() if result.error}

    def statuses(self) -> dict[str, str]:
        return {name: result.status for name, result in self.results.items()}


def plan(
    source: Path,
    destination: Path,
    prefix: str = "",
    extensions: tuple[str, ...] = (),
    prepend: str = "",
    overwrite: bool = False,
    maker: Maker | None = None,
    update: bool = False,
    preserve: bool = False,
) -> Plan:
    return make_plan(
        str(source),
        str(destination),
        prefix,
        extensions,
        prepend,
        overwrite,
        maker=maker,
        update=update,
        preserve=preserve,
    )


async def arun(
    what: Plan,
    seen: Seen,
    options: JobOptions | None = None,
    environment: Mapping[str, str] | None = None,
    limit: FailureLimit | None = None,
) -> bool:
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        return await run_plan(
            what, partial(WorkerProcesses, FAKE), options or JobOptions(continue_on_error=True), seen, limit
        )
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(
    what: Plan,
    workers: int = 1,
    etl_args: str = "",
    continue_on_error: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Seen:
    seen = Seen()
    asyncio.run(arun(what, seen, JobOptions(workers, etl_args, continue_on_error), environment))
    return seen


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"object {name}".encode("utf-8", "surrogateescape"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def several(*results: tuple[str, tuple[bytes, ...]], broken: bool = False) -> AsyncIterator[Any]:
    """Results as an answer has them; it may break off behind them."""
    for name, data in results:
        size = sum(map(len, data))
        yield ResultHead(name, "text/plain", {}, size, is_only=False), pieces(*data)
    if broken:
        raise ConnectionError
