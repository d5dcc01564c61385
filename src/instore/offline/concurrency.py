"""How many objects are under way at once, in one worker and in all: no more than help, or than files can be open."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from instore.errors import ConfigurationError
from instore.offline.interfaces import JobOptions

_SPARE = 31  # objects under way in a worker beyond those that it transforms: on their way in, or out
_QUICK = 0.1  # seconds under way that are mostly way, and not transform

# Files open at most in a process, ours or a worker's: its own, for each worker, and for each object under way (its
# connections to the worker and to a store, its file, its result).
_OWN_FILES, _WORKER_FILES, _OBJECT_FILES = 32, 4, 4


class ConcurrencyLimit:
    """The slots of one worker, which come and go with the pace of the objects."""

    def __init__(self, transforms: int, fixed: int = 0, most: int = 0) -> None:
        least, ample = fixed or transforms, fixed or transforms + _SPARE
        self._transforms = transforms
        self._most = min(ample, most or ample)
        self._least = min(least, self._most)
        self.slots = self._least

    @property
    def turns(self) -> int:
        """How many turns of the worker it may take until an object that is sent now has had its own."""
        return -(-self.slots // self._transforms)

    def grows(self, seconds: float) -> bool:
        """Whether there is to be one slot more, after an object took so long; it is counted."""
        more = seconds < _QUICK and self.slots < self._most
        self.slots += more
        return more

    def shrinks(self, seconds: float) -> bool:
        """Whether there is to be one slot less; it is counted."""
        less = seconds >= _QUICK and self.slots > self._least
        self.slots -= less
        return less


class Turns:
    """Whose turn it is in a worker: the oldest of the objects under way in it, as many as it transforms at once.

    Each has its time from the beginning of its turn.

    Args:
        transforms: how many the worker transforms at once.
        seconds: the time.
    """

    def __init__(self, transforms: int, seconds: float) -> None:
        self._transforms = transforms
        self._seconds = seconds
        self._under_way: dict[asyncio.Timeout, None] = {}  # in their order
        self._is_over = False

    @contextmanager
    def taken(self, timeout: asyncio.Timeout) -> Iterator[None]:
        """An object is under way, with what ends it."""
        self._under_way[timeout] = None
        self._start()
        try:
            yield
        finally:
            del self._under_way[timeout]
            self._start()

    def end_all(self) -> bool:
        """The worker is to be ended because of an object that is not under way any more; whether that was alone."""
        is_alone = not self._under_way and not self._is_over
        self._is_over = True
        return is_alone

    def _start(self) -> None:
        now = asyncio.get_running_loop().time()
        for timeout in islice(self._under_way, self._transforms):
            if timeout.when() is None:
                timeout.reschedule(now + self._seconds)


def within_file_limit(options: JobOptions) -> JobOptions:
    """`options` with as many workers and slots as the limit on open files allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return options
    workers = min(options.workers, (limit - _OWN_FILES) // (_WORKER_FILES + _OBJECT_FILES))
    if workers < 1 <= options.workers:
        least = _OWN_FILES + _WORKER_FILES + _OBJECT_FILES
        raise ConfigurationError(
            f"only {limit} files may be open at once, and a job takes {least}; raise the limit with ulimit -n"
        )
    files = (limit - _OWN_FILES) // max(1, workers) - _WORKER_FILES
    return replace(options, workers=workers, most_slots=files // _OBJECT_FILES)
