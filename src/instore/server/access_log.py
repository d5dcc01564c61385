"""How each object ended: a line in the log, at debug when it went well, at warning when it failed; and the counts."""

import logging
import os
import traceback

from instore.errors import TransformError
from instore.http.request import Headers
from instore.protocol.environment import Environment
from instore.server.entry import AccessLogEntry
from instore.server.metrics import DELIVERED, FAILED, RETURNED, ObjectCounters
from instore.server.spans import Spans
from instore.system.logs import MessageParts

_OURS = os.path.dirname(__file__)
_QUOTED = ("asked", "object", "error")  # fields that may have any character

logger = logging.getLogger("instore.outcome")


class AccessLog:
    """Writes the outcome lines of one process, and counts."""

    def __init__(self, environment: Environment, counters: ObjectCounters, tracing: Spans | None) -> None:
        self._environment = environment
        self._counters = counters
        self._tracing = tracing
        self._shown: set[str] = set()

    def begin(self, method: str, subject: str, headers: Headers = ()) -> AccessLogEntry:
        """A request has come; arguments as for `AccessLogEntry`."""
        self._counters.begun = number = self._counters.begun + 1
        return AccessLogEntry(number, method, subject, headers)

    def failed(self, record: AccessLogEntry, status: int, sent: int, error: BaseException) -> None:
        """An object failed: what, with which answer, why."""
        self._counters.ended(record, FAILED, sent)
        error_text = self._environment.redact(str(error))
        fields = record.fields(status, sent) | {"outcome": FAILED, "error": error_text}
        logger.warning(MessageParts("object failed", _QUOTED, fields))
        if self._tracing is not None:
            self._tracing.ended(record, fields)
        if isinstance(error, TransformError) and error.__cause__ is not None and not self._environment.frames:
            self._show_stack(error.__cause__)
        _let_go(error)

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
        self._counters.ended(record, DELIVERED if status == 204 else RETURNED, sent)
        if self._tracing is not None or logger.isEnabledFor(logging.DEBUG):
            fields = record.fields(status, sent) | {"outcome": "served"}
            logger.debug(MessageParts("object served", _QUOTED, fields))
            if self._tracing is not None:
                self._tracing.ended(record, fields)


def _let_go(error: BaseException | None) -> None:
    """Forget what a reported error was raised through.

    Its frames have the object's bytes, and the future that has the error: together they would stay in memory, which
    nobody counts any more, until the garbage collector comes.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
