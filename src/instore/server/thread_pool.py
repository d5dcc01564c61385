"""Threads for the user's code, with a cheap way there and back.

The standard library's pool wakes the event loop once for each result, under several locks. Here what is submitted in
one turn of the loop goes over together, and so do the results that gather while the loop is busy: under load a change
of threads is shared by many small transforms.

Where calls are quick there is no change at all: a thread of the pool leads the loop, and does what was submitted
between its turns (`system/relay_loop`). With the first call that is not quick, or where several threads would do more
at once, the loop's own thread leads again. Quick calls in a row bring the lead back, twice as many each time that it
was too soon.

Where calls are not quick, and the loop has yet to take more results than half as many as there are threads, these wait
for it: what they made meanwhile would gather in memory, and nobody would have it any sooner.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

from instore.system.relay_loop import Lead, RelayLoop
from instore.system.steps import Waiter

THREAD_PER_REQUEST = 128
"""The size of a pool whose users count on a thread for each request; beyond it they wait their turn."""

_QUICK = 0.001  # seconds: for about as long may calls keep the loop waiting
_WORTH_A_THREAD = 0.00003  # seconds for an object, from where several threads do more than they cost
_SMOOTHING = 16  # calls over which that is averaged
_FEWEST, _MOST = 16, 8192  # quick calls in a row before a thread leads
_LOOK = 1.0  # seconds after which a thread that waits for the loop looks whether it is still there
_LONG_ENOUGH = 16  # times as many calls as were needed: then the lead was not lent too soon

Call = tuple[Waiter[Any], float]
"""What a thread is at: its future, and when it began (`time.monotonic`)."""

_Job = tuple[Waiter[Any], Callable[..., Any], tuple[Any, ...]]


class ThreadPool:
    """Threads, up to a fixed number, that call functions in the order in which they were submitted.

    Args:
        size: of them at most.
        name: theirs.
        leads: one of them may lead the loop: no call waits for anything that the loop does.
        objects: that a call deals with at most.

    Attributes:
        on_free: called on the loop whenever threads have ended what they were at.
    """

    def __init__(self, size: int, name: str, leads: bool = False, objects: int = 1) -> None:
        self.on_free: Callable[[], object] = lambda: None
        self._size = size
        self._name = name
        self._leads = leads
        self._worth_a_thread = _WORTH_A_THREAD * objects
        self._loop: asyncio.AbstractEventLoop | None = None
        self._relay: RelayLoop | None = None  # the loop, if a thread may lead it
        self._submitted: deque[_Job] = deque()  # in this turn of the loop
        self._jobs: SimpleQueue[_Job | Lead | None] = SimpleQueue()
        self._done: deque[tuple[Waiter[Any], Any, BaseException | None]] = deque()
        self._announced = False
        self._taken = threading.Condition()  # the loop has taken what was done
        self._held_back = 0  # threads that wait for that
        self._running: list[Call | None] = []  # by thread
        self._threads = 0
        self._busy = 0
        self._lead: Lead | None = None  # a thread's, from when it is lent
        self._lending = False
        self._quick = 0  # calls in a row
        self._needed = _FEWEST
        self._led = 0  # calls since the lead was lent
        self._mean = 0.0  # seconds of one of them, of late

    def submit(self, function: Callable[..., Any], *args: Any) -> Waiter[Any]:
        """Have `function(*args)` called in a thread."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._relay = loop if self._leads and isinstance(loop, RelayLoop) else None
        future: Waiter[Any] = Waiter(loop)
        self._busy += 1
        if not self._submitted:
            self._turn_to_work(loop)
        self._submitted.append((future, function, args))
        return future

    @property
    def waiting(self) -> int:
        """Calls that no thread has time for."""
        return max(0, self._busy - self._size)

    @property
    def has_free_thread(self) -> bool:
        """Whether a call would begin at once."""
        return self._busy < self._size

    def given_up(self) -> tuple[Call, ...]:
        """What the threads are at, if there are as many as may be and nobody waits for any of it; else nothing."""
        calls = tuple(call for call in self._running if call is not None and call[0].cancelled())
        return calls if len(calls) == self._size else ()

    def close(self) -> None:
        """Let the threads end after what is submitted."""
        for _ in range(self._threads):
            self._jobs.put(None)

    # Threads.

    def _start_threads(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._threads < min(self._size, self._busy):
            number, self._threads = self._threads, self._threads + 1
            self._running.append(None)
            threading.Thread(target=self._work, args=(loop, number), name=f"{self._name}-{number}", daemon=True).start()

    def _work(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Lead):
                job.run(partial(self._work_as_leader, job, number))
            else:
                self._call(job, number)
            del job  # an idle thread keeps no object alive
            # The loop lowers the flag before it takes results: one that comes later raises it again.
            if self._done and not self._announced:
                self._announce(loop)
            if not self._quick and self._is_loop_behind:
                self._wait_for_loop(loop)

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            self._announced = True
            loop.call_soon_threadsafe(self._hand_over)

    @property
    def _is_loop_behind(self) -> bool:
        return len(self._done) > (self._size + 1) // 2

    def _wait_for_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._taken:
            self._held_back += 1  # before looking again: the loop takes what is done, and then looks for this
            while self._is_loop_behind and not loop.is_closed():
                if not self._taken.wait(_LOOK) and not self._announced:  # it broke off
                    self._announce(loop)
            self._held_back -= 1

    def _call(self, job: _Job, number: int) -> float:
        """Do a job; when it ended."""
        future, function, args = job
        began = time.monotonic()
        self._running[number] = (future, began)
        try:
            self._done.append((future, None if future.cancelled() else function(*args), None))
        except BaseException as error:
            self._done.append((future, None, error))
        self._running[number] = None
        ended = time.monotonic()
        took = ended - began
        self._quick = self._quick + 1 if took < _QUICK else 0
        self._mean += (took - self._mean) / _SMOOTHING
        return ended

    def _hand_out(self) -> None:
        """Give the threads what was submitted within one turn of the loop.

        The loop lets go of the interpreter between the callbacks of a turn: a thread that has something to do would
        take it there, and the loop wait for it, for each object anew.
        """
        if self._loop is None or not self._submitted:
            return
        if self._lead is not None:  # since it was submitted
            self._turn_to_work(self._loop)
            return
        self._start_threads(self._loop)
        for job in self._take_submitted():
            self._jobs.put(job)

    def _take_submitted(self) -> Iterator[_Job]:
        """What nobody has begun; two threads may take from it, where one of them leads no more."""
        with contextlib.suppress(IndexError):
            while True:
                yield self._submitted.popleft()

    def _hand_over(self) -> None:
        self._announced = False
        while self._done:
            future, result, error = self._done.popleft()
            self._busy -= 1
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if self._held_back:
            with self._taken:
                self._taken.notify_all()
        self.on_free()
        if self._quick >= self._needed and self._relay is not None and self._lead is None and not self._lending:
            self._lending = True
            self._relay.lend(self)

    # A thread leads: `LeadingWorkers`.

    def _turn_to_work(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that what is submitted in this turn of the loop is done."""
        if self._lead is not None and self._relay is not None:
            self._relay.pause()
        else:
            loop.call_soon(self._hand_out)

    def start(self, lead: Lead) -> None:
        """Let a thread lead, behind what it has to do."""
        self._lending = False
        self._lead = lead
        self._led = 0
        self._mean = 0.0
        self._jobs.put(lead)

    def _work_as_leader(self, lead: Lead, number: int) -> None:
        """Do what was submitted, for as long as the loop may wait."""
        until = time.monotonic() + _QUICK
        for job in self._take_submitted():
            self._led += 1
            if self._call(job, number) > until or self._lead is not lead:
                break

    def settle(self) -> bool:
        """Tell the loop what was done. The lead goes back with the first call that is not quick."""
        if self._loop is not None and self._done:
            self._loop.call_soon(self._hand_over)
        if not self._quick or (self._size > 1 and self._mean > self._worth_a_thread):
            self.taken()
            return False
        self._hand_out()
        return True

    def taken(self) -> None:
        """The loop's own thread leads again."""
        was_worth_it = self._led > _LONG_ENOUGH * self._needed
        self._needed = max(_FEWEST, self._needed // 2) if was_worth_it else min(_MOST, self._needed * 2)
        self._lead = None
        self._quick = 0
        self._hand_out()
