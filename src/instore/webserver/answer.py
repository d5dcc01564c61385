"""The answer to one HTTP request: sent whole, or begun and then either completed or broken on purpose."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from instore.webserver.output import Output

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TEXT = "text/plain; charset=utf-8"


class Answer:
    """One answer.

    Args:
        send: ASGI's.
        timeout: seconds that one batch may take to be accepted by the other side.

    Attributes:
        status: the status that was sent; 0 before.
        sent: bytes of the body handed over so far.
    """

    __slots__ = ("_send", "_timeout", "sent", "status")

    def __init__(self, send: Send, timeout: float) -> None:
        self._send = send
        self._timeout = timeout
        self.status = 0
        self.sent = 0

    async def whole(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] = {}) -> None:
        """Send a complete answer; its length is announced, but for 204, which has no body."""
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        if status != 204:
            lines.append((b"content-type", content_type.encode("latin-1")))
            lines.append((b"content-length", b"%d" % len(body)))
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        await self._send({"type": "http.response.body", "body": body})
        self.sent = len(body)

    async def stream(self, status: int, output: Output, content_type: str, headers: Mapping[str, str] = {}) -> None:
        """Send an answer whose length is not known, chunked.

        Raises:
            TimeoutError: the other side takes nothing any more.
            Exception: whatever the output failed with; the answer is then incomplete.
        """
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        lines.append((b"content-type", content_type.encode("latin-1")))
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        async for batch in output.batches():
            async with asyncio.timeout(self._timeout):
                await self._send({"type": "http.response.body", "body": batch, "more_body": True})
            self.sent += len(batch)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
