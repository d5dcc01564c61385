"""A log that never holds up whoever writes to it."""

import json
import logging
import os
import queue
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FORMATS = ("text", "json")

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_LINES = 20_000
_KEPT = 10_000  # records that are kept for who asks
_LAST = 2.0  # seconds for what is left at the end


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, and how.

    Attributes:
        level: the least that is logged.
        form: one of `FORMATS`.
    """

    level: str = "info"
    form: str = "text"

    @property
    def arguments(self) -> list[str]:
        """The same for another command line."""
        return ["--log-level", self.level, "--log-format", self.form]


class MessageParts(dict[str, Any]):
    """A message that is made of parts: `name=value` in text, and by their names in JSON, beside a short message.

    Args:
        message: the short one.
        quoted: the names of the parts that may have any character.
        parts: the parts.
    """

    def __init__(self, message: str, quoted: Collection[str], parts: Mapping[str, Any]) -> None:
        super().__init__(parts)
        self.message = message
        self._quoted = quoted

    def __str__(self) -> str:
        return " ".join(
            f"{name}={value!r}" if name in self._quoted else f"{name}={value}" for name, value in self.items()
        )


def log_to_stderr(options: LogOptions) -> None:
    """Log to standard error, a line a record.

    A file always takes them, so they are written at once. Else a thread writes the lines: where nobody reads them (a
    full pipe, a stopped terminal), those that no longer fit into memory are dropped, and their number is a line of its
    own as soon as there is room.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, _OURS) for handler in root.handlers):
        handler = _FileHandler() if _is_file() else _DroppingHandler()
        handler.setFormatter(_JSONFormatter() if options.form == "json" else logging.Formatter(_TEXT))
        root.addHandler(handler)
        logging.captureWarnings(options.form == "json")
    root.setLevel(options.level.upper())


def tell(sentence: str, level: int = logging.INFO) -> None:
    """Say something to whoever started this, whatever is logged: by itself, or in a log of JSON as a line of it."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _JSONFormatter):
            handler.handle(_record(sentence, level))
            return
    print(f"instore: {sentence}", file=sys.stderr, flush=True)


def _record(sentence: str, level: int) -> logging.LogRecord:
    return logging.LogRecord("instore", level, "", 0, sentence, None, None)


def flush_logs() -> None:
    """Have everything written that was logged: before another program takes this process's place, or its last words."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something without a descriptor
        return False


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, in one line of ASCII."""
        fields = record.msg if isinstance(record.msg, MessageParts) else None
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if fields is None else fields.message,
            **(fields or {}),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _FileHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes into a file."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to what is standard error now."""
        self.stream = sys.stderr
        super().emit(record)


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
                    lost = f"{dropped} lines of the log were dropped here: nobody read them in time"
                    if isinstance(self.formatter, _JSONFormatter):
                        lost = self.format(_record(lost, logging.WARNING))
                    line = f"{lost}\n{line}"
                sys.stderr.write(line)
                sys.stderr.flush()
            except (OSError, ValueError):  # closed: there is nobody to tell
                time.sleep(0)
            self._lines.task_done()


class RecentLog(logging.Handler):
    """Keeps the newest records of what is logged, for who asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=_KEPT)
        self.setFormatter(logging.Formatter(_TEXT))

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self._records.append(record)

    def text(self, level: int) -> str:
        """The records of a level and above, a line each."""
        return "".join(f"{self.format(record)}\n" for record in list(self._records) if record.levelno >= level)


_OURS = (_FileHandler, _DroppingHandler)
