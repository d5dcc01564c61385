"""Signals that end a process, with what it has opened closed."""

import contextlib
import signal
import sys
from collections.abc import Iterator

from instore.system import exit_codes


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the process as an exception does: a container's first process would not end at all."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(exit_codes.of_signal(signal.SIGTERM)))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
