"""One line in the log for each object: at debug when it went well, at warning when it failed."""

import itertools
import logging
import os
import time
import traceback

from instore.errors import TransformError
from instore.protocol.environment import Environment
from instore.protocol.requests import ObjectRequest
from instore.server.sources import Source

_OURS = os.path.dirname(__file__)

logger = logging.getLogger("instore.outcome")


class AccessLogEntry:
    """One request, as its outcome line will tell it.

    Args:
        number: of the request, counted from 1 in this process.
        method: the HTTP method, or `WS`.
        subject: what is known of the request before it is understood.

    Attributes:
        request: the request, once it is understood.
        source: where its bytes come from, once that is known.
        began: `time.perf_counter()` when it came.
    """

    __slots__ = ("began", "method", "number", "request", "source", "subject")

    def __init__(self, number: int, method: str, subject: str) -> None:
        self.number = number
        self.method = method
        self.subject = subject
        self.request: ObjectRequest | None = None
        self.source: Source | None = None
        self.began = time.perf_counter()

    def line(self, status: int, sent: int) -> str:
        """Everything but how it ended."""
        what = f"request={self.number} method={self.method} "
        if self.request is None:
            what += f"asked={self.subject!r}"
        else:
            what += (
                f"object={self.request.path!r} source={self.request.origin.value} next={self.request.next_url or '-'}"
            )
        received = 0 if self.source is None else self.source.received
        milliseconds = (time.perf_counter() - self.began) * 1000
        return f"{what} status={status} in={received} out={sent} ms={milliseconds:.1f}"


class AccessLog:
    """Writes the outcome lines of one process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._shown: set[str] = set()
        self._numbers = itertools.count(1)

    def begin(self, method: str, subject: str) -> AccessLogEntry:
        """A request has come; arguments as for `AccessLogEntry`."""
        return AccessLogEntry(next(self._numbers), method, subject)

    def failed(self, record: AccessLogEntry, status: int, sent: int, error: BaseException) -> None:
        """An object failed: what, with which answer, why."""
        line = f"{record.line(status, sent)} outcome=failed error={self._environment.redact(str(error))!r}"
        logger.warning("%s", line)
        if isinstance(error, TransformError) and error.__cause__ is not None and not self._environment.frames:
            self._show_stack(error.__cause__)

    def unexpected(self, error: BaseException) -> None:
        """An error of ours: its stack."""
        logger.error("an object failed", exc_info=error)

    def _show_stack(self, error: BaseException) -> None:
        """The stack within the user's code: whole once for each place, since one mistake fails many objects alike."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
            trace = trace.tb_next
        stack = self._environment.redact("".join(traceback.format_exception(type(error), error, trace)))
        place = "".join(traceback.format_tb(trace)[-1:])
        logger.log(logging.DEBUG if place in self._shown else logging.INFO, "%s", stack)
        self._shown.add(place)

    def served(self, record: AccessLogEntry, status: int, sent: int) -> None:
        """An object went where it belongs; arguments as for `failed`."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s outcome=served", record.line(status, sent))
