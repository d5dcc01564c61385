"""uvicorn's HTTP/1.1, with a request's body handed on as it came."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HTTP1(HttpToolsProtocol):
    """Hands over a piece of a body that is alone without a copy, and without a pause.

    uvicorn copies each piece into a `bytearray`, and the whole of that again for the application; and since one read
    from the socket is mostly larger than the 64 KiB after which it stops the client, it turns the connection's reading
    off and on again for nearly every piece. Here that limit counts from the second piece that waits.
    """

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body has come."""
        cycle = self.cycle
        if cycle.body or cycle.response_complete or self.parser.should_upgrade():
            super().on_body(body)
        else:
            cycle.body = body  # type: ignore[assignment]  # it is only measured, added to, and made into bytes
            cycle.message_event.set()
