"""A connection of the server without a socket: bytes in, bytes out, a clock that is moved by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from instore.http.http_connection import HTTPConnection
from instore.http.limits import Limits
from instore.http.request import Request
from instore.http.server_state import ServerState
from instore.http.websocket import WebSocketReceiver, WebSocketSender

Serve = Callable[[Request], Coroutine[Any, Any, None]]


class Transport:
    """What a connection needs of one."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closed = False
        self.ended = False
        self.waiting = 0
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, data: list[bytes]) -> None:
        self.written += b"".join(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class App:
    """An `Application`: echoes the body, unless another coroutine is given."""

    def __init__(self, serve: Serve | None = None) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.receiver: WebSocketReceiver | str = "no WebSocket here"
        self.sender: WebSocketSender | None = None
        self._serve = serve or self._echo

    async def start(self) -> None:
        """Nothing to do."""

    def tick(self, body_memory: int) -> None:
        """Nothing is to be done."""

    def drain(self) -> None:
        """Nothing is to be done."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def serve(self, request: Request) -> None:
        self.requests.append(request)
        await self._serve(request)

    async def _echo(self, request: Request) -> None:
        body = await request.whole()
        self.bodies.append(body)
        await request.respond(200, [], b"<" + body + b">")

    def websocket(self, request: Request, sender: WebSocketSender) -> WebSocketReceiver | str:
        self.requests.append(request)
        self.sender = sender
        return self.receiver


class Edge:
    """One connection."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.app = app
        self.state = ServerState(app, limits)
        self.state.date = b""
        self.transport = Transport()
        self.connection: Any = HTTPConnection(self.state)
        self.connection.connection_made(cast(asyncio.Transport, self.transport))

    async def send(self, *pieces: bytes) -> bytes:
        """Have `pieces` come, one after the other; what was answered."""
        for piece in pieces:
            (self.transport.protocol or self.connection).data_received(piece)
            await settled()
        return self.take()

    def take(self) -> bytes:
        """What was answered since the last time."""
        written, self.transport.written = self.transport.written, b""
        return written

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, and have the connection look at it."""
        self.state.now += seconds
        (self.transport.protocol or self.connection).check()
        await settled()

    async def lose(self) -> None:
        """The client leaves."""
        (self.transport.protocol or self.connection).connection_lost(None)
        await settled()


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def with_edge(test: Callable[[Edge], Coroutine[Any, Any, None]], app: App | None = None, **limits: Any) -> None:
    """Run a test on a connection."""

    async def run() -> None:
        await test(Edge(app or App(), Limits(**limits)))

    asyncio.run(run())
