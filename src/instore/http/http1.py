"""uvicorn's HTTP/1.1, with fewer copies and fewer system calls.

A piece of a body that is alone is handed over as it came. uvicorn copies each piece into a `bytearray`, and the whole
of that again for the application; and since one read from the socket is mostly larger than the 64 KiB after which it
stops the client, it turns the connection's reading off and on again for nearly every piece. Here that limit counts from
the second piece that waits.

The head of an answer is sent with its first bytes. uvicorn writes both at once to the socket, one after the other,
which takes a small object's answer two system calls, and the client's kernel two wake-ups.

And a small request can take a shortcut. A scope, a task and four messages cost more than to store a small object; so an
application may answer such a request at once, in the callback that has its last byte.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle


class FastPath(Protocol):
    """Answers small requests without a task; what it doesn't take goes to the application."""

    def takes(self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request is for it, asked when its head is there.

        Args:
            method: `b"PUT"` and so on.
            target: path and query as they came.
            headers: pairs of lower-case name and value. Without a `content-length` there may be a body of any size.
        """

    def answer(self, target: bytes, body: bytes) -> tuple[int, str]:
        """Status and text of the answer; called once, with the whole body. It must neither block nor raise."""


class HTTP1(HttpToolsProtocol):
    """The protocol of one connection.

    Args:
        shortcut: for small requests. Default: none.
        server: uvicorn's own arguments.
    """

    def __init__(self, *, fast_path: FastPath | None = None, **server: Any) -> None:
        super().__init__(**server)
        self._fast_path = fast_path
        self._fast: FastPath | None = None
        self._body = b""
        self._stopping = False

    def on_headers_complete(self) -> None:
        """A request has begun. Its task is made here, and runs later."""
        self._fast = self._find_fast_path()
        if self._fast is not None:
            return
        super().on_headers_complete()
        # There is none before the first one, which may be the upgrade to WebSocket; and HEAD has no second write.
        if self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = _Corked(self.cycle, self.transport)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body has come."""
        if self._fast is not None:
            self._body = self._body + body if self._body else body
            return
        cycle = self.cycle
        if cycle.body or cycle.response_complete or self.parser.should_upgrade():
            super().on_body(body)
        else:
            cycle.body = body  # type: ignore[assignment]  # it is only measured, added to, and made into bytes
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._fast is None:
            super().on_message_complete()
            return
        status, text = self._fast.answer(self.url, self._body)
        self._fast = None
        self._body = b""
        self.transport.write(_short_answer(status, text.encode(errors="replace")))
        if self._stopping:
            self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        """The server stops: the request under way is the last."""
        if self._fast is not None:
            self._stopping = True
        else:
            super().shutdown()

    def _find_fast_path(self) -> FastPath | None:
        """Who answers at once, if anyone does: nothing may come before the answer, and nothing be agreed on first."""
        if (
            self._fast_path is None
            or not (self.cycle is None or self.cycle.response_complete)
            or self.flow.write_paused
            or self.expect_100_continue
            or self.parser.should_upgrade()
            or not self.parser.should_keep_alive()
        ):
            return None
        return self._fast_path if self._fast_path.takes(self.parser.get_method(), self.url, self.headers) else None


def _short_answer(status: int, text: bytes) -> bytes:
    kind = b"content-type: text/plain\r\n" if text else b""
    return b"%s%scontent-length: %d\r\n\r\n%s" % (STATUS_LINE[status], kind, len(text), text)


class _Corked:
    """What one answer sees of the transport: its first write, the head, waits for the second."""

    __slots__ = ("_cycle", "_head", "_transport", "is_closing")

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        self._cycle = cycle
        self._transport = transport
        self._head: bytes | None = None
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, or keep the head."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif self._head is None and self._cycle.response_started:
            self._head = data
        else:
            self._transport.write(data)  # more of the body; or `100 Continue`, which comes before the head

    def close(self) -> None:
        """Send what is kept, and close."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()
