"""Objects that wait for their turn meet in batches, for classes that transform several at once.

Objects with the same arguments share a batch. It goes to the transform's threads when it is full, or when its first
object has waited `batch_timeout` and a thread is free; until then others may join it.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from instore.protocol.requests import ObjectRequest
from instore.server.entry import AccessLogEntry
from instore.server.readers import Load
from instore.server.thread_pool import ThreadPool
from instore.server.user_results import TypedBytes
from instore.system.steps import Waiter


class Promise(Waiter[bytes | TypedBytes]):
    """The result of an object in a batch; a batch whose objects are all given up is given up itself."""

    __slots__ = ("running",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.running: _RunningBatch | None = None

    def cancel(self, msg: object = None) -> bool:
        was_awaited = super().cancel(msg)
        if was_awaited and self.running is not None:
            self.running.check()
        return was_awaited


class BatchMember(NamedTuple):
    """One object of a batch."""

    request: ObjectRequest
    load: Load
    result: Promise
    entry: AccessLogEntry


Outcome = bytes | TypedBytes | BaseException
Run = Callable[[list[BatchMember]], list[Outcome]]


class Batches:
    """The batches of one process.

    Args:
        pool: whose threads run them.
        size: objects in one at most.
        timeout: seconds that an object waits for others.
        run: transforms a batch, in a thread; one outcome an object.
    """

    def __init__(self, pool: ThreadPool, size: int, timeout: float, run: Run) -> None:
        self._pool = pool
        self._size = size
        self._timeout = timeout
        self._run = run
        self._open: dict[str, _Batch] = {}  # by arguments, those that others may join
        self._due: list[_Batch] = []  # of them, those that wait for nothing but a thread
        pool.on_free = self._start_due

    @property
    def waiting(self) -> int:
        """Objects that are in no thread yet."""
        return sum(len(batch.members) for batch in self._open.values()) + self._pool.waiting * self._size

    def submit(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> Waiter[bytes | TypedBytes]:
        """Have an object transformed in a batch."""
        loop = asyncio.get_running_loop()
        member = BatchMember(request, load, Promise(loop), entry)
        batch = self._open.get(request.etl_args)
        if batch is None:
            batch = self._open[request.etl_args] = _Batch(request.etl_args)
            batch.timer = loop.call_later(self._timeout, self._wait_no_longer, batch)
        batch.members.append(member)
        if len(batch.members) >= self._size:
            self._start(batch)
        return member.result

    def _wait_no_longer(self, batch: "_Batch") -> None:
        if self._pool.has_free_thread:
            self._start(batch)
        else:
            self._due.append(batch)

    def _start(self, batch: "_Batch") -> None:
        batch.close()
        del self._open[batch.etl_args]
        if batch in self._due:
            self._due.remove(batch)
        members = [member for member in batch.members if not member.result.done()]  # the others were given up
        if members:
            _RunningBatch(self._pool.submit(self._run, members), members)

    def _start_due(self) -> None:
        """A thread is free."""
        while self._due and self._pool.has_free_thread:
            self._start(self._due[0])


class _Batch:
    """Objects that wait together."""

    def __init__(self, etl_args: str) -> None:
        self.etl_args = etl_args
        self.members: list[BatchMember] = []
        self.timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """It is as it is."""
        if self.timer is not None:
            self.timer.cancel()


class _RunningBatch:
    """A batch in a thread: its objects get their outcomes."""

    def __init__(self, call: Waiter[list[Outcome]], members: list[BatchMember]) -> None:
        self._call = call
        self._members = members
        call.add_done_callback(self._done)
        for member in members:
            member.result.running = self

    def check(self) -> None:
        """Give it up when nobody waits for any of it."""
        if all(member.result.cancelled() for member in self._members):
            self._call.cancel()

    def _done(self, call: Waiter[list[Outcome]]) -> None:
        try:
            outcomes = call.result()
        except BaseException as error:
            outcomes = [error] * len(self._members)
        for member, outcome in zip(self._members, outcomes, strict=True):
            if member.result.done():
                continue
            if isinstance(outcome, BaseException):
                member.result.set_exception(outcome)
            else:
                member.result.set_result(outcome)
