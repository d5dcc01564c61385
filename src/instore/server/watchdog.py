"""Noticing that transforms that never end hold all threads, so that nothing more can be served.

A thread can't be ended from outside, a process can. Which transforms never end can't be known either; but one that
nobody waits for and that has run for longer than an object may take is worth nothing to anyone.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable

from instore.protocol.environment import INSTORE_TRANSFORM_TIMEOUT
from instore.server.thread_pool import Call, ThreadPool
from instore.system import exit_codes

logger = logging.getLogger("instore")

_LEAST = 0.1  # seconds for a transform that has its result already to end


class Watchdog:
    """Ends the process when it is stuck.

    Args:
        pool: whose threads run the transforms.
        limit: seconds that an object may take; infinite: nothing is ever done.

    Attributes:
        end: does it; does not return. Default: the process exits with `exit_codes.STUCK`.
    """

    def __init__(self, pool: ThreadPool, limit: float) -> None:
        self.end: Callable[[], None] = _exit
        self._pool = pool
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None

    def check(self) -> None:
        """A transform was given up: look whether it was the last that could be waited for."""
        if self._timer is None and math.isfinite(self._limit) and (calls := self._pool.given_up()):
            youngest = max(began for _, began in calls)
            wait = max(_LEAST, youngest + self._limit - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._check_again, calls)

    def _check_again(self, before: tuple[Call, ...]) -> None:
        self._timer = None
        if self._pool.given_up() != before:
            self.check()
            return
        threads = "the thread" if len(before) == 1 else f"all {len(before)} threads"
        logger.error(
            "%s of this process: held by transforms that were given up and do not end (%s=%g); it serves nothing more",
            threads,
            INSTORE_TRANSFORM_TIMEOUT,
            self._limit,
        )
        self.end()


def _exit() -> None:
    logging.shutdown()
    os._exit(exit_codes.STUCK)
