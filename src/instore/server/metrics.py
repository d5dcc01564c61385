"""What a server counts, in memory that all workers of a port share (docs/operating.md#metrics).

Strategy: a nameless file has a page for each worker, in which that worker alone writes, where its event loop runs, and
from which any of them reads. So counting takes no lock, the sums are those of all workers, and what one had counted,
but for the bytes of a moment, is there after its death: the worker that replaces it goes on in the same page. Some
pages are for successors, which are there before their predecessors have gone.
"""

import asyncio
import itertools
import math
import mmap
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TypeAlias

from instore.protocol.requests import SourceKind
from instore.server.entry import AccessLogEntry
from instore.system.files import nameless_file

METHODS = ("PUT", "GET", "POST", "WS")
UNKNOWN = "unknown"
"""The source of a request that was not understood."""
SOURCES = (*SourceKind, UNKNOWN)
DELIVERED, RETURNED, FAILED = OUTCOMES = ("delivered", "returned", "failed")
DIRECTIONS = ("in", "out")
STAGES = ("waiting", "reading", "transforming", "delivering")
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histograms' buckets, in seconds."""

# Where in a page each number is: the objects, the histograms, then single ones.
OBJECTS = {
    (method, str(source), outcome): number
    for number, (method, source, outcome) in enumerate(itertools.product(METHODS, SOURCES, OUTCOMES))
}
SUM = len(BOUNDS) + 1
"""Behind a histogram's buckets, of which the last has no bound."""
HISTOGRAMS = {stage: len(OBJECTS) + number * (SUM + 1) for number, stage in enumerate(STAGES)}
_FIRST_SINGLE = len(OBJECTS) + len(STAGES) * (SUM + 1)
_COUNTS = BYTES_IN, BYTES_OUT, RETRIES, RESTARTS, RECYCLED, REFUSED = range(_FIRST_SINGLE, _FIRST_SINGLE + 6)
_NOW = IN_PROGRESS, QUEUED, MEMORY, BEATS = range(_COUNTS[-1] + 1, _COUNTS[-1] + 5)
"""What is true of a worker that is there: of one that is not, these are 0."""

_MOMENT = 0.02  # seconds: a killed worker's bytes of that long are not counted
_PAGE = 4096  # bytes: processors that write beside each other in one line of memory hold each other up
_ALL, _EACH = 256, 32  # objects of which all are timed before the numbers are published anew; then one of so many
_AT_ONCE = 256 * len(STAGES)  # times that are sorted into the buckets together, for a fifth of the cost
_COLUMNS = {
    outcome: {method: {str(source): OBJECTS[method, source, outcome] for source in SOURCES} for method in METHODS}
    for outcome in OUTCOMES
}

Page: TypeAlias = "memoryview[float]"
"""The numbers of one worker."""


class ObjectCounters:
    """The numbers of one server process.

    Attributes:
        pages: those of all workers of its port, its own included.
        begun: objects that have come to this process.
    """

    def __init__(self) -> None:
        self.begun = 0
        # Of each timed object a number for each stage: of those that count for one, and those that count for several.
        self._seconds: list[float] = []
        self._of_many: list[float] = []
        self._in = self._out = 0  # bytes that are not in the page yet
        self._owes_bytes = False
        self._soon: Callable[[Callable[[], None]], object] = lambda add: add()
        self._timed = 0  # those that could have been, since the numbers were published
        self.use(_pages_of(memoryview(bytearray(_PAGE))), 0)  # which a process that forks has for itself

    def use(self, pages: Sequence[Page], own: int) -> None:
        """Count in one of these pages from now on; before the first request."""
        self.pages = pages
        self._page = pages[own]
        self._counted = self._page[: len(OBJECTS)].tolist()  # what `ended` adds to: quicker to read
        self._before = objects_ended(self._page)

    def start(self) -> None:
        """From now on the bytes of objects that end within a moment are added together; on the event loop."""
        self._soon = partial(asyncio.get_running_loop().call_later, _MOMENT)

    def ended(self, entry: AccessLogEntry, outcome: str, sent: int) -> None:
        """An object's way is over; `sent` bytes went back to whoever asked."""
        request, source, page, counted = entry.request, entry.source, self._page, self._counted
        column = _COLUMNS[outcome][entry.method][UNKNOWN if request is None else request.origin]
        page[column] = counted[column] = counted[column] + 1
        if source is not None:
            self._in += source.received
        self._out += sent + entry.put
        if not self._owes_bytes:
            self._owes_bytes = True
            self._soon(self._add_bytes)
        if entry.retries:
            page[RETRIES] += entry.retries
        if entry.made:
            self._timed = timed = self._timed + 1
            if timed <= _ALL:
                self._time(entry, self._seconds)
            elif not timed % _EACH:
                self._time(entry, self._of_many)

    def _add_bytes(self) -> None:
        self._page[BYTES_IN] += self._in
        self._page[BYTES_OUT] += self._out
        self._in = self._out = 0
        self._owes_bytes = False

    def _time(self, entry: AccessLogEntry, seconds: list[float]) -> None:
        asked, begun, loaded, made = entry.asked, entry.begun, entry.loaded, entry.made
        waiting, reading, delivering = begun - asked, asked - entry.came + loaded - begun, entry.ready or made
        seconds += (waiting, reading, made - loaded, perf_counter() - delivering)
        if len(seconds) >= _AT_ONCE:
            self._sort()

    def refused(self) -> None:
        """A request found too many before it."""
        self._page[REFUSED] += 1

    def publish(self, queued: int, memory: int | None = None) -> None:
        """Let all workers see what is known here alone; how many wait, and the bytes of all bodies in memory."""
        self._sort()
        self._add_bytes()
        self._timed = 0
        page = self._page
        page[BEATS] += 1
        page[IN_PROGRESS] = self._before + self.begun - objects_ended(page)
        page[QUEUED] = queued
        if memory is not None:
            page[MEMORY] = memory

    def _sort(self) -> None:
        for seconds, weight in ((self._seconds, 1), (self._of_many, _EACH)):
            for number, start in enumerate(HISTOGRAMS.values() if seconds else ()):
                _add(self._page, start, sorted(seconds[number :: len(STAGES)]), weight)
            seconds.clear()


def make_pages(count: int) -> int:
    """A file of pages; its descriptor."""
    descriptor = nameless_file("instore-metrics")
    os.truncate(descriptor, count * _PAGE)
    return descriptor


def map_pages(descriptor: int) -> list[Page]:
    """The pages of a file that `make_pages` has made."""
    return _pages_of(memoryview(mmap.mmap(descriptor, 0)))


def vacate(page: Page) -> None:
    """The worker of a page has ended; another goes on in it, now or later."""
    for number in _NOW:
        page[number] = 0


def objects_ended(page: Page) -> float:
    """How many objects' ways are over."""
    return sum(page[: len(OBJECTS)])


def _pages_of(memory: memoryview) -> list[Page]:
    return [memory[start : start + _PAGE].cast("d") for start in range(0, len(memory), _PAGE)]


def _add(page: Page, start: int, seconds: list[float], weight: int) -> None:
    """Add to a histogram what is sorted already."""
    page[start + SUM] += sum(seconds) * weight
    before = 0
    for number, bound in enumerate((*BOUNDS, math.inf)):
        up_to = bisect_right(seconds, bound, before)
        page[start + number] += (up_to - before) * weight
        before = up_to
