"""Small work on a disk without a thread, while the disk is quick."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

_SLOW = 0.02  # seconds for a few system calls that say that the disk keeps us waiting
_WARY = 0.25  # seconds for which such a disk is left to threads; a core that was given to others looks the same


class DiskPace:
    """How quick a disk is of late.

    A small file is made in a dozen system calls of microseconds. A thread gives up the interpreter for each of them
    and has to wait for it again, behind a loop that is busy; so that way costs twice the work (a job of small objects
    in a node: 900 to 1,100 a second against 1,300 to 2,200). A disk that takes long once is left to threads for a
    while.
    """

    def __init__(self) -> None:
        self._slow_until = 0.0

    @property
    def is_quick(self) -> bool:
        """Whether the disk has kept nobody waiting lately."""
        return time.monotonic() >= self._slow_until

    def at_once(self, work: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
        """Do something small with the disk here and now, and note how long it took."""
        began = time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            if time.perf_counter() - began > _SLOW:
                self._slow_until = time.monotonic() + _WARY
