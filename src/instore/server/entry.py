"""What is known of one request on its way, for the outcome log and the metrics."""

import os
import re
import secrets
from functools import cache
from time import perf_counter
from typing import Any

from instore.http.request import Headers
from instore.protocol.headers import REQUEST_ID
from instore.protocol.requests import ObjectRequest
from instore.server.sources import Source

_REQUEST_ID = REQUEST_ID.lower().encode()
_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


@cache
def _process() -> str:
    """What no other process calls itself."""
    return f"{secrets.token_hex(4)}-{os.getpid()}"


os.register_at_fork(after_in_child=_process.cache_clear)


class AccessLogEntry:
    """One request: what is told of it when it is over.

    Args:
        number: of the request, counted from 1 in this process.
        method: the HTTP method, or `WS`.
        subject: what is known of the request before it is understood.
        headers: the request's.

    Attributes:
        request: the request, once it is understood.
        source: where its bytes come from, once that is known.
        put: bytes that the next hop took.
        retries: how often its direct put was tried again.
        span: OpenTelemetry's, once one is wanted.
        began: when it came, by `time.perf_counter()`, as all that follow.
        came: the same, or when its last try began.
        asked: a thread was asked for.
        begun: a thread took it.
        loaded: its bytes were there; of a stream: it was opened.
        made: its result was whole; 0: it is not.
        ready: its result began, where it is sent while it is made; else 0.
    """

    __slots__ = (
        "asked",
        "began",
        "begun",
        "came",
        "headers",
        "loaded",
        "made",
        "method",
        "number",
        "put",
        "ready",
        "request",
        "retries",
        "source",
        "span",
        "subject",
    )

    asked: float
    begun: float
    loaded: float

    def __init__(self, number: int, method: str, subject: str, headers: Headers) -> None:
        self.number = number
        self.method = method
        self.subject = subject
        self.headers = headers
        self.request: ObjectRequest | None = None
        self.source: Source | None = None
        self.span: Any = None
        self.put = self.retries = 0
        self.made = self.ready = 0.0
        self.began = self.came = perf_counter()

    def again(self) -> None:
        """Another try begins; the times of the last one stand."""
        self.came = perf_counter()
        self.made = self.ready = 0.0

    @property
    def id(self) -> str:
        """What the request is called: by its sender, if that is a name to be passed on; else by us."""
        for name, value in self.headers:
            if name == _REQUEST_ID and _ID.fullmatch(value):
                return value.decode()
        return f"{_process()}-{self.number}"

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
        fields["ms"] = round((perf_counter() - self.began) * 1000, 1)
        return fields
