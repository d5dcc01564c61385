"""Threads for the user's code, with a cheap way there and back.

The standard library's pool wakes the event loop once for each result, under several locks. Here what is submitted in
one turn of the loop goes over together, and so do the results that gather while the loop is busy: under load a change
of threads is shared by many small transforms.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from instore.system.steps import Waiter

THREAD_PER_REQUEST = 128
"""The size of a pool whose users count on a thread for each request; beyond it they wait their turn."""


Call = tuple[Waiter[Any], float]
"""What a thread is at: its future, and when it began (`time.monotonic`)."""


class ThreadPool:
    """Threads, up to a fixed number, that call functions in the order in which they were submitted."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: SimpleQueue[tuple[Waiter[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._submitted: list[tuple[Waiter[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._done: deque[tuple[Waiter[Any], Any, BaseException | None]] = deque()
        self._announced = False
        self._running: list[Call | None] = []  # by thread
        self._threads = 0
        self._busy = 0

    def submit(self, function: Callable[..., Any], *args: Any) -> Waiter[Any]:
        """Have `function(*args)` called in a thread."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._threads < self._size and self._busy >= self._threads:
            self._start(self._loop)
        self._busy += 1
        future: Waiter[Any] = Waiter(self._loop)
        if not self._submitted:
            self._loop.call_soon(self._hand_out)
        self._submitted.append((future, function, args))
        return future

    @property
    def waiting(self) -> int:
        """Calls that no thread has time for."""
        return max(0, self._busy - self._size)

    def given_up(self) -> tuple[Call, ...]:
        """What the threads are at, if there are as many as may be and nobody waits for any of it; else nothing."""
        calls = tuple(call for call in self._running if call is not None and call[0].cancelled())
        return calls if len(calls) == self._size else ()

    def close(self) -> None:
        """Let the threads end after what is submitted."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        number, self._threads = self._threads, self._threads + 1
        self._running.append(None)
        threading.Thread(target=self._work, args=(loop, number), name=f"{self._name}-{number}", daemon=True).start()

    def _work(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            future, function, args = job
            self._running[number] = (future, time.monotonic())
            try:
                self._done.append((future, None if future.cancelled() else function(*args), None))
            except BaseException as error:
                self._done.append((future, None, error))
            self._running[number] = None
            del job, future, function, args  # an idle thread keeps no object alive
            # The loop lowers the flag before it takes results: one that comes later raises it again.
            if not self._announced and not loop.is_closed():
                self._announced = True
                loop.call_soon_threadsafe(self._hand_over)

    def _hand_out(self) -> None:
        """Give the threads what was submitted within one turn of the loop.

        The loop lets go of the interpreter between the callbacks of a turn: a thread that has something to do would
        take it there, and the loop wait for it, for each object anew.
        """
        jobs, self._submitted = self._submitted, []
        for job in jobs:
            self._jobs.put(job)

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
