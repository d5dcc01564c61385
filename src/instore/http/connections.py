"""HTTP/1.1 to a peer, as small as direct put and pull need it: one exchange at a time on a connection that is kept.

Nothing is ever sent twice in here, nothing is decoded, redirected or guessed. A body's end must show in the body: an
answer without a length or chunks is whole only if it is an error's text. A connection is given back only when both
sides of its exchange are complete.

The time-out is on progress and costs nothing per exchange: whoever waits for the peer notes until when, and one timer a
pool looks at the notes.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from instore.system.steps import Waiter, in_task

_PAUSE_AT = 4 << 20  # bytes received and not taken, at which reading stops
_CONNECT_TIMEOUT = 10.0
_TICKS = 10  # how often a time-out's length the notes are looked at
Check = Callable[[str, str], None]
"""Called with an address and the host that leads to it; raises if it must not be connected to."""

_PORTS = {"http": 80, "https": 443}


class BrokenExchangeError(ConnectionError):
    """The peer closed, or sent what is not HTTP, before the exchange was complete."""


class Origin(NamedTuple):
    """Scheme, host and port, and the value of the Host header."""

    scheme: str
    host: str
    port: int
    authority: str


@lru_cache(maxsize=1024)
def parse_origin(scheme: str, authority: str) -> Origin:
    """The origin of `scheme://authority`."""
    if "@" in authority:
        raise ValueError("it holds a user's name or password, which are not sent; leave them out")
    parts = urlsplit(f"{scheme}://{authority}")
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{scheme}://{authority} is not the origin of a URL")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{parts.hostname!r} is not the name of a host: a part of it is empty or too long") from error
    return Origin(scheme, parts.hostname, parts.port or _PORTS[scheme], authority)


class Connection(asyncio.Protocol):
    """One connection.

    Attributes:
        status: of the answer; 0 before it has begun.
        headers: of the answer, lower-case names.
        complete: the answer is.
        all_sent: the whole request was handed over.
        early: the answer began before that.
        received: bytes of the answer's body that have come.
        closed: the connection is.
        deadline: when the peer must have moved, on the loop's clock; 0 while it need not.
        idle_since: when it was given back.
    """

    def __init__(self, origin: Origin, pool: "ConnectionPool") -> None:
        self.origin = origin
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.all_sent = False
        self.early = False
        self.received = 0
        self.closed = False
        self.deadline = 0.0
        self.idle_since = 0.0
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._reading = True
        self._framed = False
        self._keep = False
        self._failure: OSError | None = None
        self._lost: OSError | None = None  # why it is closed
        self._news: Waiter[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._busy = False

    def send(self, data: bytes | memoryview) -> None:
        """Hand `data` to the transport; after a failure it is dropped."""
        if not self.closed:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport takes more."""
        if self._room is not None:
            self.expect()
            await self._room
            self.deadline = 0.0
        if self.closed:
            raise self._failure or BrokenExchangeError("the peer closed the connection")

    def begin(self) -> None:
        """A new exchange begins."""
        self.status = 0
        self.headers = {}
        self.complete = False
        self.all_sent = False
        self.received = 0
        self._framed = False
        self._busy = True
        self._failure = self._lost  # which it may have been since it was made

    def expect(self) -> None:
        """The peer is to move from now on."""
        self.deadline = self._loop.time() + self._pool.timeout

    async def answered(self) -> None:
        """Wait until the answer has begun."""
        while not self.status:
            await self._wait()

    async def take(self, most: int) -> bytes:
        """About `most` bytes of the answer's body; empty at its end."""
        while self._buffered < most and not self.complete:
            await self._wait()
        self.deadline = 0.0  # who takes may take their time
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if not self._reading and not self.closed:
            self._reading = True
            self._transport.resume_reading()
        return body

    @property
    def drained(self) -> bool:
        """Whether the answer is complete and all of its body was taken."""
        return self.complete and not self._chunks

    def release(self, reusable: bool) -> None:
        """Give the connection back, or close it unless the exchange is complete and `reusable`."""
        self._busy = False
        self.deadline = 0.0
        if reusable and self.drained and self._keep and not self.closed:
            self._pool.keep(self)
        else:
            self.abort(BrokenExchangeError("the exchange was given up"))
            self._pool.forget(self)

    def abort(self, reason: OSError) -> None:
        """Close the connection at once; who waits gets `reason`."""
        if not self.closed:
            self._lose(reason)
            self._transport.abort()

    async def _wait(self) -> None:
        self._raise_failure()
        self._news = Waiter(self._loop)
        try:
            await self._news
        finally:
            self._news = None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _lose(self, reason: OSError) -> None:
        self.closed = True
        self._lost = reason
        if self._busy and not self.complete:
            if self.status >= 400 and not self._framed and isinstance(reason, BrokenExchangeError):
                self.complete = True  # an error's text may end with its connection
            else:
                self._failure = reason
        self._tell()
        self.resume_writing()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed:
            self._lose(
                BrokenExchangeError(f"the connection was lost: {error}" if error else "the peer closed the connection")
            )
        self._pool.drop(self)

    def data_received(self, data: bytes) -> None:
        if not self._busy or self.complete:
            self.abort(BrokenExchangeError("the peer sent what nobody asked for"))
            return
        if self.deadline:
            self.expect()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.abort(BrokenExchangeError(f"the answer is not HTTP: {error.__context__ or error}"))
            return
        self._tell()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("behind it comes what nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # behind the body there are trailers, which are never headers
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if status < 200:
            self.headers = {}
            return
        headers = self.headers
        self._framed = (
            "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower() or status == 204
        )
        self._keep = self._parser.should_keep_alive()
        self.status = status
        self.early = not self.all_sent
        if not self._framed and status < 400:
            raise ValueError("it announces neither a length nor chunks, so nobody can know it whole")

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        self.received += len(body)
        if self._buffered >= _PAUSE_AT and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.complete = True
            self.deadline = 0.0


class ConnectionPool:
    """Connections to many origins, the idle ones kept for a while."""

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None,
        timeout: float,
        limit: int,
        expiry: float,
        check: Check | None = None,
        socket: str = "",
    ) -> None:
        self.timeout = timeout
        self._socket = socket
        self._ssl = ssl_context
        self._limit = asyncio.Semaphore(limit)
        self._expiry = expiry
        self._check = check
        self._idle: dict[Origin, list[Connection]] = {}
        self._used: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, origin: Origin, fresh: bool = False) -> tuple[Connection, bool]:
        """A connection to `origin`, a kept one if there is any and `fresh` is not asked for."""
        await self._limit.acquire()
        try:
            kept = None if fresh else self._kept(origin)
            connection = kept if kept is not None else await in_task(self._connect(origin))
        except BaseException:
            self._limit.release()
            raise
        self._used.add(connection)
        if self._timer is None:
            self._look()
        return connection, kept is not None

    def keep(self, connection: Connection) -> None:
        """A connection is idle from now on."""
        self.forget(connection)
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(connection.origin, []).append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is not in use any more."""
        self._used.discard(connection)
        self._limit.release()

    def drop(self, connection: Connection) -> None:
        """A connection was lost: if it was idle, it isn't kept any more."""
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def close(self) -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in [*self._used, *(one for idle in self._idle.values() for one in idle)]:
            connection.abort(BrokenExchangeError("the server stops"))

    def _kept(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        context = (self._ssl or _default_context()) if origin.scheme == "https" else None
        async with asyncio.timeout(min(_CONNECT_TIMEOUT, self.timeout)):
            if self._socket:
                return (await loop.create_unix_connection(lambda: Connection(origin, self), self._socket))[1]
            hosts = [origin.host] if self._check is None else await _checked(origin, self._check)
            for host in hosts[:-1]:
                with contextlib.suppress(OSError):
                    return await self._dial(origin, host, context)
            return await self._dial(origin, hosts[-1], context)

    async def _dial(self, origin: Origin, host: str, context: ssl.SSLContext | None) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(origin, self),
            host,
            origin.port,
            ssl=context,
            server_hostname=origin.host if context else None,
        )
        return connection

    def _look(self) -> None:
        """Give up peers that did not move in time, and close what was idle for too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._used):
            if connection.deadline and connection.deadline <= now:
                connection.abort(TimeoutError("no progress within the time-out"))
        for idle in list(self._idle.values()):
            while idle and idle[0].idle_since + self._expiry <= now:
                idle.pop(0).abort(BrokenExchangeError("idle for too long"))
        self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        busy = bool(self._used or self._idle)
        self._timer = loop.call_later(min(1.0, self.timeout / _TICKS), self._look) if busy else None


async def _checked(origin: Origin, check: Check) -> list[str]:
    """The origin's addresses, after all of them were checked: what is checked is what is used."""
    found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check(address, origin.host)
    return addresses


@cache
def _default_context() -> ssl.SSLContext:
    return ssl.create_default_context()
