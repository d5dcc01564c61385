"""The ETL server under a foreign ASGI server, such as uvicorn: what comes and goes as messages, as our own edge has it.

Some of what our edge sees can't be known here. A request that asks for an upgrade comes without the body that it may
have, so one that announces a body is refused. And a failed WebSocket object can only close the connection.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from instore.errors import ClientGoneError, InvalidRequestError, SlowClientError
from instore.http.request import Headers
from instore.http.websocket import WebSocketReceiver
from instore.protocol.websocket import CLOSE_POLICY, close_reason

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_INTERVAL = 1.0
_NO_BODY = (204, 304)


class ASGIRequest:
    """One request; a `Request`."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, timeout: float, watcher: "DisconnectWatcher"
    ) -> None:
        self.method: str = scope["method"]
        self.headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.streams = scope.get("http_version") != "1.0"
        self.status = 0
        self.sent = 0
        self.ended = False
        raw = scope.get("raw_path")
        path = raw.partition(b"?")[0] if raw is not None else quote(scope["path"]).encode()
        query = scope.get("query_string", b"")
        self.target: bytes = path + b"?" + query if query else path
        self._receive = receive
        self._send = send
        self._timeout = timeout
        self._watcher = watcher
        self._received = 0
        self._refuses_body = _hides_body(self.headers)
        self._watched: _WatchedRequest | None = None

    @property
    def must_wait(self) -> bool:
        return False  # memory is not counted here

    async def wait_for_memory(self) -> None:
        """Nothing is waited for."""

    def ready(self) -> None:
        """Everything is awaited."""

    async def read(self) -> bytes:
        if self._refuses_body:
            raise InvalidRequestError(
                "the request asks for an upgrade, and its body can't be read under this server; send no Upgrade header"
            )
        if self.ended:
            return b""
        try:
            async with asyncio.timeout(self._timeout):
                message = await self._receive()
        except TimeoutError:
            raise SlowClientError(f"no byte of the body came for {self._timeout:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError(f"the client left after {self._received} bytes of the body")
        body: bytes = message.get("body", b"")
        self._received += len(body)
        self.ended = not message.get("more_body", False)
        return body or (b"" if self.ended else await self.read())

    async def whole(self) -> bytes:
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def on_gone(self, callback: Callable[[], object] | None) -> None:
        if self._watched is not None:
            self._watcher.end(self._watched)
            self._watched = None
        if callback is not None:
            self._watched = self._watcher.begin(self, self._receive, callback)

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        lines = list(headers)
        if status not in _NO_BODY:
            lines.append((b"content-length", b"%d" % len(body)))
        await self.begin(status, lines)
        await self._send({"type": "http.response.body", "body": body})
        self.sent = len(body)

    async def begin(self, status: int, headers: Headers) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, piece: bytes) -> None:
        async with asyncio.timeout(self._timeout):
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self.sent += len(piece)

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def lend_body(self) -> None:
        """The socket is the foreign server's."""

    async def lend_answer(self) -> None:
        """The socket is the foreign server's."""


def _hides_body(headers: list[tuple[bytes, bytes]]) -> bool:
    names = {name for name, value in headers if value != b"0"}
    return b"upgrade" in names and bool(names & {b"content-length", b"transfer-encoding"})


class DisconnectWatcher:
    """Notices that whoever asked has left, without a cost for the many requests that are over at once.

    While there are requests, they are looked at once a second. One that was there at the last look too is old enough to
    be worth a task that waits for its client's end; but only when its body was read: up to then the reader notices.
    """

    def __init__(self) -> None:
        self._watched: dict[_WatchedRequest, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, request: ASGIRequest, receive: Receive, callback: Callable[[], object]) -> "_WatchedRequest":
        """Watch a request until `end`."""
        watched = _WatchedRequest(request, receive, callback)
        self._watched[watched] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._check)
        return watched

    def end(self, watched: "_WatchedRequest") -> None:
        """The request is over."""
        del self._watched[watched]
        if watched.task is not None:
            watched.task.cancel()

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        for watched in self._watched:
            if watched.seen and watched.task is None and watched.may_wait:
                watched.task = loop.create_task(watched.wait())
            watched.seen = True
        self._timer = loop.call_later(_INTERVAL, self._check) if self._watched else None


class _WatchedRequest:
    """One request that is watched."""

    __slots__ = ("_callback", "_receive", "_request", "seen", "task")

    def __init__(self, request: ASGIRequest, receive: Receive, callback: Callable[[], object]) -> None:
        self.seen = False
        self.task: asyncio.Task[None] | None = None
        self._request = request
        self._receive = receive
        self._callback = callback

    @property
    def may_wait(self) -> bool:
        """Whether nobody else reads what comes from the client."""
        return self._request.ended or self._request.method not in ("PUT", "POST")

    async def wait(self) -> None:
        """Wait for the client's end."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._callback()


async def serve_websocket(
    receive: Receive, send: Send, stall: float, connect: Callable[["ASGIWebSocket"], WebSocketReceiver | str]
) -> None:
    """Serve one WebSocket connection until it ends."""
    await receive()
    connection = ASGIWebSocket(send)
    receiver = connect(connection)
    if isinstance(receiver, str):
        await send({"type": "websocket.close", "code": CLOSE_POLICY, "reason": close_reason(receiver)})
        return
    await send({"type": "websocket.accept"})
    sides = [
        asyncio.create_task(connection.deliver(receive, receiver)),
        asyncio.create_task(connection.write(receiver)),
        asyncio.create_task(connection.notice_stall(stall)),
    ]
    try:
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for side in sides:
            side.cancel()
        receiver.closed()
        await asyncio.gather(*sides, return_exceptions=True)
    for side in sides:
        if not side.cancelled() and (error := side.exception()) is not None and not isinstance(error, OSError):
            raise error


class ASGIWebSocket:
    """The way back of one connection; a `WebSocketSender`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._outgoing: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._delivering = asyncio.Event()
        self._delivering.set()
        self._sends = 0  # begun and ended, together: odd while one is under way

    @property
    def is_writable(self) -> bool:
        return not self._outgoing

    def send(self, data: bytes) -> None:
        self._put({"type": "websocket.send", "bytes": data})

    def send_text(self, text: str) -> None:
        self._put({"type": "websocket.send", "text": text})

    def break_off(self) -> None:
        """ASGI has no message for a part of one."""

    def close(self, code: int, reason: str) -> None:
        self._put({"type": "websocket.close", "code": code, "reason": close_reason(reason)})

    def pause(self) -> None:
        self._delivering.clear()

    def resume(self) -> None:
        self._delivering.set()

    def release(self, size: int) -> None:
        """Memory is not counted here."""

    def take_answer(self, size: int) -> None:
        """Nor here."""

    def release_answer(self, size: int) -> None:
        """Nor here."""

    async def deliver(self, receive: Receive, receiver: WebSocketReceiver) -> None:
        """Hand over one message after the other, until the client leaves."""
        while True:
            await self._delivering.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            data: bytes | None = message.get("bytes")
            if data is None:
                receiver.message(message["text"].encode(errors="replace"), is_text=True)
            else:
                receiver.message(data, is_text=False)

    async def write(self, receiver: WebSocketReceiver) -> None:
        """Send what there is, until the connection is closed."""
        while True:
            while not self._outgoing:
                self._arrived.clear()
                await self._arrived.wait()
            message = self._outgoing[0]
            self._sends += 1
            await self._send(message)
            self._sends += 1
            self._outgoing.popleft()
            if message["type"] == "websocket.close":
                return
            if not self._outgoing:
                receiver.writable()

    async def notice_stall(self, seconds: float) -> None:
        """End when one answer has not been accepted for these seconds at least, and twice that at most.

        Looked at from beside, since a timer for each answer costs more than the answer of a small object.
        """
        while True:
            before = self._sends
            await asyncio.sleep(seconds)
            if before % 2 and self._sends == before:
                return

    def _put(self, message: Message) -> None:
        self._outgoing.append(message)
        self._arrived.set()
