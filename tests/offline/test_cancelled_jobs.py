"""A job that is cancelled, at whatever it waits for, once or more often, ends once and whole."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from instore.etl.communicator import Communicator, TransformRequest, TransformResponse
from instore.offline.engine import Engine
from instore.offline.interfaces import JobOptions, Stored
from instore.offline.plan import Plan
from tests.offline.support import Seen, fill, plan, tree
from tests.support.cancelling import TIMES, cancelled_at

PIECES = [b"x" * 70_000, b"y" * 70_000, b"z"]


class Response:
    """A result in several pieces, with a wait before each."""

    content_type = "application/octet-stream"
    length: int | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        for piece in PIECES:
            await asyncio.sleep(0)
            yield piece

    async def close(self) -> None:
        await asyncio.sleep(0)


class Worker:
    """A worker in this process that gives every object the same result."""

    concurrency = 2
    pid = 0

    def __init__(self) -> None:
        self.communicator: Communicator = self
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def send(self, request: TransformRequest) -> TransformResponse:
        await asyncio.sleep(0)
        return Response()

    async def close(self) -> None:
        """Nothing is held."""

    async def is_dead(self) -> bool:
        return False

    def how_it_died(self) -> str:
        return "never"

    async def give_up(self, reason: str) -> None:
        raise NotImplementedError

    def last_lines(self, containing: str = "") -> list[str]:
        return []


class Workers:
    async def start(self) -> Worker:
        return Worker()

    async def discard(self, worker: Worker) -> None:
        """Nothing is held."""


async def job(what: Plan, seen: Seen) -> None:
    async with what.destination as destination:
        engine: Engine[Worker, Stored] = Engine(
            JobOptions(continue_on_error=True), what.items(), what.source, Workers(), what.destination, seen
        )
        flushes = 0
        flush = what.destination.flush

        async def counted() -> None:
            nonlocal flushes
            await flush()
            flushes += 1

        what.destination.flush = counted  # type: ignore[method-assign]
        before = asyncio.all_tasks()
        try:
            await engine.run()
        finally:
            assert flushes == 1, "it returned before what it committed was on the disk"
            left = {task for task in asyncio.all_tasks() - before if "Engine" in repr(task)}
            assert not left, "something of it goes on after it returned"
            assert destination is what.destination


@TIMES
def test_a_job_ends_once_and_whole_wherever_it_is_cancelled(tmp_path: Path, times: int) -> None:
    names = [f"x{number}" for number in range(5)]
    fill(tmp_path / "src", names)

    async def check() -> None:
        for step in itertools.count():
            place, seen = tmp_path / f"dst{step}", Seen()
            over = await cancelled_at(step, times, job(plan(tmp_path / "src", place), seen))
            assert seen.errors() == {}
            there = tree(place) if place.exists() else {}
            assert set(there.values()) <= {b"".join(PIECES)}
            assert set(there) == {name for name, status in seen.statuses().items() if status == "done"}
            if over:
                assert set(there) == set(names)
                return

    asyncio.run(check())


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.003, 0.01, 0.03])
@TIMES
def test_a_job_ends_once_and_whole_whenever_it_is_cancelled(tmp_path: Path, times: int, seconds: float) -> None:
    fill(tmp_path / "src", [f"x{number:03}" for number in range(200)])
    seen = Seen()

    async def check() -> None:
        task = asyncio.ensure_future(job(plan(tmp_path / "src", tmp_path / "dst"), seen))
        await asyncio.sleep(seconds)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.001)
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None

    asyncio.run(check())
    there = tree(tmp_path / "dst") if (tmp_path / "dst").exists() else {}
    assert set(there.values()) <= {b"".join(PIECES)}
    assert set(there) == {name for name, status in seen.statuses().items() if status == "done"}
    assert not os.path.exists(tmp_path / "dst/.instore-partial")
