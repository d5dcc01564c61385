"""How each object ended: a line in the log, at debug when it went well, at warning when it failed; and the counts."""

import logging
import os
import re
import secrets
import time
import traceback
from collections.abc import Mapping
from typing import Any

from instore.errors import TransformError
from instore.http.request import Headers
from instore.protocol.environment import Environment
from instore.protocol.headers import REQUEST_ID
from instore.protocol.requests import ObjectRequest
from instore.server.metrics import DELIVERED, FAILED, RETURNED, UNKNOWN, Counters, Times
from instore.server.sources import Source
from instore.system.logs import FIELDS

_OURS = os.path.dirname(__file__)
_REQUEST_ID = REQUEST_ID.lower().encode()
_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_RANDOM = secrets.token_hex(4)
_QUOTED = ("asked", "object", "error")  # fields that may have any character

logger = logging.getLogger("instore.outcome")


class AccessLogEntry(Times):
    """One request, as its outcome line will tell it.

    Args:
        number: of the request, counted from 1 in this process.
        method: the HTTP method, or `WS`.
        subject: what is known of the request before it is understood.
        headers: the request's.

    Attributes:
        request: the request, once it is understood.
        source: where its bytes come from, once that is known.
        began: `time.perf_counter()` when it came.
        put: bytes that the next hop took.
        retries: how often its direct put was tried again.
    """

    __slots__ = ("began", "headers", "method", "number", "put", "request", "retries", "source", "subject")

    def __init__(self, number: int, method: str, subject: str, headers: Headers) -> None:
        self.number = number
        self.method = method
        self.subject = subject
        self.headers = headers
        self.request: ObjectRequest | None = None
        self.source: Source | None = None
        self.put = self.retries = 0
        self.asked = self.begun = self.loaded = self.made = self.ready = 0.0
        self.began = self.came = time.perf_counter()

    @property
    def id(self) -> str:
        """What the request is called: by its sender, if that is a name to be passed on; else by us."""
        for name, value in self.headers:
            if name == _REQUEST_ID and _ID.fullmatch(value):
                return value.decode()
        return f"{_RANDOM}-{os.getpid()}-{self.number}"

    def fields(self, status: int, sent: int) -> dict[str, Any]:
        """Everything but how it ended."""
        fields: dict[str, Any] = {"request": self.number, "id": self.id, "method": self.method}
        if self.request is None:
            fields["asked"] = self.subject
        else:
            fields["object"] = self.request.path
            fields["source"] = self.request.origin.value
            fields["next"] = self.request.next_url or "-"
        fields["status"] = status
        fields["in"] = 0 if self.source is None else self.source.received
        fields["out"] = sent
        fields["put"] = self.put
        fields["ms"] = round((time.perf_counter() - self.began) * 1000, 1)
        return fields


class AccessLog:
    """Writes the outcome lines of one process, and counts."""

    def __init__(self, environment: Environment, counters: Counters) -> None:
        self._environment = environment
        self._counters = counters
        self._shown: set[str] = set()

    def begin(self, method: str, subject: str, headers: Headers = ()) -> AccessLogEntry:
        """A request has come; arguments as for `AccessLogEntry`."""
        self._counters.begun = number = self._counters.begun + 1
        return AccessLogEntry(number, method, subject, headers)

    def failed(self, record: AccessLogEntry, status: int, sent: int, error: BaseException) -> None:
        """An object failed: what, with which answer, why."""
        self._count(record, FAILED, sent)
        error_text = self._environment.redact(str(error))
        _write(logging.WARNING, record.fields(status, sent) | {"outcome": FAILED, "error": error_text})
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
        self._count(record, DELIVERED if status == 204 else RETURNED, sent)
        if logger.isEnabledFor(logging.DEBUG):
            _write(logging.DEBUG, record.fields(status, sent) | {"outcome": "served"})

    def _count(self, record: AccessLogEntry, outcome: str, sent: int) -> None:
        source = UNKNOWN if record.request is None else record.request.origin
        received = 0 if record.source is None else record.source.received
        self._counters.ended(record.method, source, outcome, received, sent + record.put)
        self._counters.took(record, time.perf_counter())
        if record.retries:
            self._counters.retried(record.retries)


def _write(level: int, fields: Mapping[str, Any]) -> None:
    line = " ".join(f"{name}={value!r}" if name in _QUOTED else f"{name}={value}" for name, value in fields.items())
    logger.log(level, "%s", line, extra={FIELDS: fields})
