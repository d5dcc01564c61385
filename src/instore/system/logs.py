"""A log that never holds up whoever writes to it."""

import logging
import os
import queue
import stat
import sys
import threading
import time

FIELDS = "fields"
"""The attribute of a record that has its parts by their names."""

_LINES = 20_000
_LAST = 2.0  # seconds for what is left at the end


def log_to_stderr(level: str) -> None:
    """Log to standard error, a line a record.

    A file always takes them, so they are written at once. Else a thread writes the lines: where nobody reads them (a
    full pipe, a stopped terminal), those that no longer fit into memory are dropped, and their number is a line of its
    own as soon as there is room.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, _OURS) for handler in root.handlers):
        handler = _FileHandler() if _is_file() else _DroppingHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        root.addHandler(handler)
    root.setLevel(level.upper())


def flush_logs() -> None:
    """Have everything written that was logged: before another program takes this process's place, or its last words."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something without a descriptor
        return False


class _FileHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes into a file."""


class _DroppingHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue(_LINES)
        self._dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            self._lines.put_nowait(self.format(record) + "\n")
        except queue.Full:
            self._dropped += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until everything is written, but not for a reader that doesn't read."""
        until = time.monotonic() + _LAST
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.001)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            try:
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    line = f"{dropped} lines of the log were dropped here: nobody read them in time\n{line}"
                sys.stderr.write(line)
                sys.stderr.flush()
            except (OSError, ValueError):  # closed: there is nobody to tell
                time.sleep(0)
            self._lines.task_done()


_OURS = (_FileHandler, _DroppingHandler)
