"""Objects that wait for their turn meet in batches, for classes that transform several at once.

Objects with the same arguments share a batch. It goes to the transform's threads when it is full, or when its first
object has waited `batch_timeout` and a thread is free; until then others may join it.
"""

import asyncio
from collections.abc import Callable

from instore.protocol.requests import ObjectRequest
from instore.server.entry import AccessLogEntry
from instore.server.readers import Load
from instore.server.thread_pool import ThreadPool
from instore.server.user_results import TypedBytes
from instore.system.steps import Waiter


class BatchMember(Waiter[bytes | TypedBytes]):
    """One object of a batch, and its result; a batch whose objects are all given up is given up itself."""

    __slots__ = ("batch", "entry", "load", "request")

    def __init__(self, request: ObjectRequest, load: Load, entry: AccessLogEntry, batch: "_Batch") -> None:
        Waiter.__init__(self, batch.loop)
        self.request = request
        self.load = load
        self.entry = entry
        self.batch = batch

    def cancel(self, msg: object = None) -> bool:
        was_awaited = super().cancel(msg)
        if was_awaited:
            self.batch.check()
        return was_awaited


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
        self._gathering = 0  # objects in open batches
        self._open: dict[str, _Batch] = {}  # by arguments, those that others may join
        self._due: list[_Batch] = []  # of them, those that wait for nothing but a thread
        pool.on_free = self._start_due

    @property
    def waiting(self) -> int:
        """Objects that are in no thread yet."""
        return self._gathering + self._pool.waiting * self._size

    def submit(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> Waiter[bytes | TypedBytes]:
        """Have an object transformed in a batch."""
        batch = self._open.get(request.etl_args)
        if batch is None:
            batch = self._open[request.etl_args] = _Batch(asyncio.get_running_loop(), request.etl_args)
            batch.timer = batch.loop.call_later(self._timeout, self._wait_no_longer, batch)
        member = BatchMember(request, load, entry, batch)
        batch.members.append(member)
        self._gathering += 1
        if len(batch.members) >= self._size:
            self._start(batch)
        return member

    def _wait_no_longer(self, batch: "_Batch") -> None:
        if self._pool.has_free_thread:
            self._start(batch)
        else:
            self._due.append(batch)

    def _start(self, batch: "_Batch") -> None:
        del self._open[batch.etl_args]
        if batch in self._due:
            self._due.remove(batch)
        self._gathering -= len(batch.members)
        members = batch.close()
        if members:
            batch.run(self._pool.submit(self._run, members))

    def _start_due(self) -> None:
        """A thread is free."""
        while self._due and self._pool.has_free_thread:
            self._start(self._due[0])


class _Batch:
    """Objects that wait together, and then are transformed together."""

    def __init__(self, loop: asyncio.AbstractEventLoop, etl_args: str) -> None:
        self.loop = loop
        self.etl_args = etl_args
        self.members: list[BatchMember] = []
        self.timer: asyncio.TimerHandle | None = None
        self._call: Waiter[list[Outcome]] | None = None

    def close(self) -> list[BatchMember]:
        """It is as it is: those of its objects that were not given up."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.members = [member for member in self.members if not member.done()]
        return self.members

    def run(self, call: Waiter[list[Outcome]]) -> None:
        """A thread has it: its objects get their outcomes."""
        self._call = call
        call.add_done_callback(self._done)

    def check(self) -> None:
        """Give it up when nobody waits for any of it."""
        if self._call is not None and all(member.cancelled() for member in self.members):
            self._call.cancel()

    def _done(self, call: Waiter[list[Outcome]]) -> None:
        try:
            outcomes = call.result()
        except BaseException as error:
            outcomes = [error] * len(self.members)
        members, self.members, self._call = self.members, [], None  # else they would keep each other, and the objects
        for member, outcome in zip(members, outcomes, strict=True):
            if member.done():
                continue
            if isinstance(outcome, BaseException):
                member.set_exception(outcome)
            else:
                member.set_result(outcome)
