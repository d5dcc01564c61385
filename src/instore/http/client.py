"""An HTTP/1.1 client as small as both sides of the wire need it.

A request has its bytes at hand or streams them; an answer's body is read batch by batch.

Failures are the system's own, `OSError`; who asks gives them a meaning. A kept connection may turn out closed when it
is used again; bytes at hand are then sent once more over a new one, a stream, of which a part is gone, is not.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from functools import partial

from instore.http.bodies import Body
from instore.http.connections import Check, Connection, ConnectionPool, Origin, parse_origin

_ONE_WRITE = 1 << 20
_ONE_BUFFER = 1 << 16  # up to here a copy costs less than a second write
_URL = re.compile(r"(https?)://([^/?#\s]+)([!-~]*)")

FAILURES = (OSError,)  # what an exchange can fail with: lost connections, broken framing, time-outs


class UnaskableError(Exception):
    """A URL that can't stand in a request."""


class ClientResponse:
    """An answer whose body is read batch by batch.

    Attributes:
        status: HTTP status.
        headers: lower-case names.
        early: it began before the whole request was sent.
        upload: the body that was sent for it, if it was sent in pieces.
    """

    __slots__ = ("_batch", "_closed", "_connection", "early", "headers", "status", "upload")

    def __init__(self, connection: Connection, batch: int, upload: "BodySender | None" = None) -> None:
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self.early = connection.early
        self.upload = upload
        self._closed = False
        self._connection = connection
        self._batch = batch

    @property
    def drained(self) -> bool:
        """Whether the whole body was taken."""
        return self._connection.drained

    @property
    def received(self) -> int:
        """Bytes of the body that have come, taken or not."""
        return self._connection.received

    async def take(self) -> bytes:
        """The next batch of the body; empty at its end."""
        if not self.drained and (self.upload is None or self.upload.ended):
            self._connection.expect()  # while we still send, the answer may have to wait for us
        return await self._connection.take(self._batch)

    async def close(self) -> None:
        """Give the connection back, or close it unless the exchange came to its end on both sides."""
        if self._closed:
            return
        self._closed = True
        if self.upload is not None:
            await self.upload.stop()
        self._connection.release(self.upload is None or self.upload.complete)


class Client:
    """Connections to any number of peers, and the requests over them."""

    def __init__(
        self,
        timeout: float,
        limit: int,
        expiry: float,
        batch: int,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        check: Check | None = None,
        socket: str = "",
    ) -> None:
        self._batch = batch
        self._common = _lines({"Accept-Encoding": "identity", **(headers or {})})
        self._open = partial(ConnectionPool, ssl_context, timeout, limit, expiry, check, socket)
        self._pool: ConnectionPool | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None
    ) -> ClientResponse:
        """Ask, and wait until the answer begins."""
        if body is None or (body.length is not None and body.length <= _ONE_WRITE):
            connection = await self._exchange(method, url, headers, b"" if body is None else body.first)
            return ClientResponse(connection, self._batch)
        return await self._upload(method, url, headers, body)

    def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.close()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Connection:
        """Send bytes at hand, once more if a kept connection was closed before it answered anything."""
        origin, target = _split(url)
        length = {} if method == "GET" else {"Content-Length": str(len(body))}
        message = [self._head(method, target, origin.authority, {**headers, **length}), body]
        if len(body) <= _ONE_BUFFER:
            message = [b"".join(message)]
        pool = self._connections()
        connection, kept = await pool.acquire(origin)
        try:
            return await _ask(connection, message)
        except ConnectionError:
            if not kept:
                raise
        connection, _ = await pool.acquire(origin, fresh=True)
        return await _ask(connection, message)

    async def _upload(self, method: str, url: str, headers: Mapping[str, str], output: Body) -> ClientResponse:
        origin, target = _split(url)
        framing = {"Transfer-Encoding": "chunked"} if output.length is None else {"Content-Length": str(output.length)}
        connection, _ = await self._connections().acquire(origin)
        connection.begin()
        connection.send(self._head(method, target, origin.authority, {**headers, **framing}))
        upload = BodySender(connection, output, self._batch)
        try:
            await connection.answered()
        except BaseException as error:
            await upload.stop()
            connection.release(False)
            if upload.failure is not None and isinstance(error, OSError):
                raise upload.failure from None
            raise
        return ClientResponse(connection, self._batch, upload)

    def _head(self, method: str, target: str, authority: str, headers: Mapping[str, str]) -> bytes:
        return f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{self._common}{_lines(headers)}\r\n".encode()

    def _connections(self) -> ConnectionPool:
        if self._pool is None:
            self._pool = self._open()
        return self._pool


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


class BodySender:
    """A body that is sent in pieces, while the answer may already come.

    Attributes:
        ended: no more of it will be sent.
        complete: all of it was sent.
        sent: bytes sent so far.
        failure: what the output itself failed with.
    """

    def __init__(self, connection: Connection, output: Body, piece: int) -> None:
        self.ended = False
        self.complete = False
        self.sent = 0
        self.failure: Exception | None = None
        self._connection = connection
        self._output = output
        self._piece = piece
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send no more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._send_all()
        except OSError as error:
            self._connection.abort(error)
        finally:
            self.ended = True

    async def _send_all(self) -> None:
        chunked = self._output.length is None
        batch = self._output.first
        while batch:
            view = memoryview(batch)
            for start in range(0, len(view), self._piece):
                await self._send(view[start : start + self._piece], chunked)
            batch = await self._next()
        if chunked:
            self._connection.send(b"0\r\n\r\n")
        self._connection.all_sent = True
        await self._connection.drain()
        self.complete = True
        if not self._connection.complete:
            self._connection.expect()

    async def _send(self, piece: memoryview, chunked: bool) -> None:
        if chunked:
            self._connection.send(b"%x\r\n" % len(piece))
        self._connection.send(piece)
        if chunked:
            self._connection.send(b"\r\n")
        await self._connection.drain()
        self.sent += len(piece)

    async def _next(self) -> bytes:
        if self._output.rest is None:
            return b""
        try:
            return await self._output.rest.take()
        except Exception as error:
            self.failure = error
            raise ConnectionAbortedError("our own result broke off") from error


async def _ask(connection: Connection, message: list[bytes]) -> Connection:
    """Send a whole request and wait until its answer has begun."""
    try:
        connection.begin()
        for part in message:
            connection.send(part)
        connection.all_sent = True
        connection.expect()
        await connection.answered()
    except BaseException:
        connection.release(False)
        raise
    return connection


def _split(url: str) -> tuple[Origin, str]:
    """Origin, and path with query."""
    match = _URL.fullmatch(url)
    if match is None:
        raise UnaskableError("expected http://HOST:PORT/PATH in ASCII")
    target = match[3].partition("#")[0]
    try:
        origin = parse_origin(match[1], match[2])
    except ValueError as error:
        raise UnaskableError(str(error)) from error
    return origin, target if target.startswith("/") else "/" + target


def describe(error: BaseException) -> str:
    """A sentence for an error of the network."""
    if isinstance(error, TimeoutError):
        return "no progress within the time-out"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
