"""Requests of our own server as Starlette's classes want them: by the messages of ASGI."""

import asyncio
from typing import Any
from urllib.parse import unquote

from starlette.types import Message

from instore.errors import ClientGoneError, InstoreError
from instore.http.request import Request
from instore.system.steps import Waiter


def _scope(request: Request) -> dict[str, Any]:
    raw_path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1" if request.streams else "1.0",
        "method": request.method,
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1"), errors="replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": request.headers,
        "client": None,
        "server": None,
    }


class ASGIMessages:
    """The messages of one request.

    Attributes:
        scope: its line and headers.
    """

    def __init__(self, request: Request) -> None:
        self.scope = _scope(request)
        self._request = request
        self._begun: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._ended = False

    async def receive(self) -> Message:
        """What comes next: a piece of the body, or the client's end."""
        if self._ended:
            await self._gone()
            return {"type": "http.disconnect"}
        try:
            body = await self._request.read()
        except ClientGoneError:
            return {"type": "http.disconnect"}
        self._ended = self._request.ended
        return {"type": "http.request", "body": body, "more_body": not self._ended}

    async def send(self, message: Message) -> None:
        """Send a part of the answer. A small one goes out at once, with its head."""
        if message["type"] == "http.response.start":
            self._begun = message["status"], list(message.get("headers", []))
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        try:
            if self._begun is not None:
                status, headers = self._begun
                self._begun = None
                if not more:
                    await self._whole(status, headers, body)
                    return
                await self._request.begin(status, headers)
            await self._request.write(body)
            if not more:
                await self._request.end()
        except ClientGoneError as error:
            raise OSError(str(error)) from error

    async def _whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """An answer that is at hand, if it is as long as it says; else it is sent as far as it goes."""
        announced = next((int(value) for name, value in headers if name == b"content-length"), None)
        if announced is None or announced == len(body):
            await self._request.respond(status, [pair for pair in headers if pair[0] != b"content-length"], body)
            return
        await self._request.begin(status, headers)
        await self._request.write(body)
        if self._request.method == "HEAD":
            await self._request.end()
        else:
            raise InstoreError(f"the answer has {len(body)} bytes, {announced} were announced")

    async def _gone(self) -> None:
        left: Waiter[None] = Waiter(asyncio.get_running_loop())
        self._request.on_gone(lambda: left.set_result(None))
        await left
