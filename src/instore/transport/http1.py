"""uvicorn's HTTP/1.1, with fewer copies and fewer system calls.

A piece of a body that is alone is handed over as it came. uvicorn copies each piece into a `bytearray`, and the whole
of that again for the application; and since one read from the socket is mostly larger than the 64 KiB after which it
stops the client, it turns the connection's reading off and on again for nearly every piece. Here that limit counts from
the second piece that waits.

The head of an answer is sent with its first bytes. uvicorn writes both at once to the socket, one after the other,
which takes a small object's answer two system calls, and the client's kernel two wake-ups.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class HTTP1(HttpToolsProtocol):
    """The protocol of one connection."""

    def on_headers_complete(self) -> None:
        """A request has begun. Its task is made here, and runs later."""
        super().on_headers_complete()
        # There is none before the first one, which may be the upgrade to WebSocket; and HEAD has no second write.
        if self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = _Corked(self.cycle, self.transport)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body has come."""
        cycle = self.cycle
        if cycle.body or cycle.response_complete or self.parser.should_upgrade():
            super().on_body(body)
        else:
            cycle.body = body  # type: ignore[assignment]  # it is only measured, added to, and made into bytes
            cycle.message_event.set()


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
