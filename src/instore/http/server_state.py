"""What the connections of one server share."""

import asyncio
import time
from typing import Protocol

from instore.http.limits import BodyMemory, Limits
from instore.http.request import Application

_FEW = 64  # connections, of which each may have a large piece read
_LARGE_PIECE, _SMALL_PIECE = 1 << 18, 1 << 15


class ClientConnection(Protocol):
    """A connection, as the server looks at it."""

    @property
    def busy(self) -> bool:
        """Whether anything is under way on it."""

    def check(self) -> None:
        """Look whether the client has moved in time; called every now and then."""

    def drain(self, just_idle: bool) -> None:
        """The server stops: what is under way is the last, and where nothing is, the connection is closed."""

    def abort(self) -> None:
        """End whatever is under way."""


class ServerState:
    """What all connections of one server share.

    Args:
        application: answers.
        limits: the bounds.

    Attributes:
        memory: of all bodies.
        untaken: memory of all results that clients have not taken.
        connections: those that are open.
        now: the loop's clock, a moment ago.
        date: the Date header's line.
        stopping: no request is begun on a connection that has had its last one.
    """

    def __init__(self, application: Application, limits: Limits) -> None:
        self.application = application
        self.limits = limits
        self.memory = BodyMemory(limits.body_memory, limits.body_wait)
        self.untaken = BodyMemory(limits.body_memory, limits.body_wait)
        self.connections: set[ClientConnection] = set()
        self._large_buffer = memoryview(bytearray(_LARGE_PIECE))
        self._small_buffer = self._large_buffer[:_SMALL_PIECE]
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.date = b""
        self.tick()

    @property
    def read_buffer(self) -> memoryview:
        """What is read into, from one connection after the other; small where there are many."""
        return self._large_buffer if len(self.connections) <= _FEW else self._small_buffer

    def received(self, size: int) -> bytes:
        """A copy of what was read into it."""
        return bytes(self._large_buffer[:size])

    def is_short_of_memory(self, since: float) -> bool:
        """Whether others wait until results are taken, and half of their time has gone by since a moment."""
        return self.untaken.is_awaited and self.now > since + self.limits.body_wait / 2

    def tick(self) -> None:
        """Move the clocks."""
        self.now = self.loop.time()
        self.application.tick(self.memory.used)
        self.date = time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime()).encode()
