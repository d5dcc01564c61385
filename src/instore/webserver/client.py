"""The outbound HTTP client: GET from the target, PUT to the next hop.

One pool a process, with the settings of the environment. Failures are mapped here, at the edge: a GET that fails is a
`TargetError`, a PUT that fails in a way that may pass is a `TransientError`. A kept connection may turn out closed when
it is used again; bytes at hand are then sent once more over a new one, a stream, of which a part is gone, is not.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping

from instore.errors import ConfigurationError, InvalidPipelineError, InvalidRequestError, TargetError
from instore.protocol.environment import Environment
from instore.webserver.connection import Check, Connection, ConnectionPool, Origin, parse_origin
from instore.webserver.output import Output

_ONE_WRITE = 1 << 20
_ONE_BUFFER = 1 << 16  # up to here a copy costs less than a second write
_URL = re.compile(r"(https?)://([^/?#\s]+)([!-~]*)")

FAILURES = (OSError,)  # what an exchange can fail with: lost connections, broken framing, time-outs


class _UnaskableError(Exception):
    """A URL that can't stand in a request."""


class TransientError(Exception):
    """A PUT failed in a way that may pass; the cause says how."""


class Response:
    """An answer whose body is read batch by batch.

    Attributes:
        status: HTTP status.
        headers: lower-case names.
        early: it began before the whole request was sent.
        upload: the body that was sent for it, if it was sent in pieces.
    """

    __slots__ = ("_batch", "_closed", "_connection", "early", "headers", "status", "upload")

    def __init__(self, connection: Connection, batch: int, upload: "Upload | None" = None) -> None:
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

    async def take(self) -> bytes:
        """The next batch of the body; empty at its end.

        Raises:
            OSError: the body broke off or stalled.
        """
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


class Outbound:
    """The HTTP client of one process.

    Args:
        environment: pool, time-out, TLS, token.
        authorize: send the token along.
        check: called with each address before it is connected to.

    Raises:
        ConfigurationError: a certificate or key can't be loaded.
    """

    def __init__(self, environment: Environment, authorize: bool = True, check: Check | None = None) -> None:
        self._environment = environment
        self._check = check
        self._ssl = _ssl_context(environment)
        self._batch = environment.direct_put_chunk_size
        self._common = "Accept-Encoding: identity\r\n"
        if authorize and environment.authn_token:
            self._common += f"Authorization: Bearer {environment.authn_token}\r\n"
        self._pool: ConnectionPool | None = None

    async def get(self, url: str, place: str = "the target") -> Response:
        """GET `url`, which is called `place` to a person.

        Raises:
            InvalidRequestError: `url` is not a URL that can be asked.
            TargetError: it can't be reached.
        """
        try:
            connection = await self._exchange("GET", url, {}, b"")
        except _UnaskableError as error:
            raise InvalidRequestError(f"{place} is not a URL that can be asked: {error}") from error
        except FAILURES as error:
            raise TargetError(f"can't reach {place}: {describe(error)}") from error
        return Response(connection, self._batch)

    async def put(self, url: str, output: Output, headers: Mapping[str, str]) -> Response:
        """PUT `output` to `url`; the length is announced where it is known, else the body is chunked.

        Raises:
            TransientError: connection lost or refused, time-out, broken framing.
            InvalidPipelineError: `url` is not a URL that can be asked.
            Exception: whatever the output itself failed with.
        """
        try:
            if output.length is not None and output.length <= _ONE_WRITE:
                return Response(await self._exchange("PUT", url, headers, output.first), self._batch)
            return await self._upload(url, headers, output)
        except _UnaskableError as error:
            raise InvalidPipelineError(f"the pipeline entry is not a URL that can be asked: {error}") from error
        except FAILURES as error:
            raise TransientError(describe(error)) from error

    async def close(self) -> None:
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
        pool = self._open_pool()
        connection, kept = await pool.acquire(origin)
        try:
            return await _ask(connection, message)
        except ConnectionError:
            if not kept:
                raise
        connection, _ = await pool.acquire(origin, fresh=True)
        return await _ask(connection, message)

    async def _upload(self, url: str, headers: Mapping[str, str], output: Output) -> Response:
        origin, target = _split(url)
        framing = {"Transfer-Encoding": "chunked"} if output.length is None else {"Content-Length": str(output.length)}
        connection, _ = await self._open_pool().acquire(origin)
        connection.begin()
        connection.send(self._head("PUT", target, origin.authority, {**headers, **framing}))
        upload = Upload(connection, output, self._batch)
        try:
            await connection.answered()
        except BaseException as error:
            await upload.stop()
            connection.release(False)
            if upload.failure is not None and isinstance(error, OSError):
                raise upload.failure from None
            raise
        return Response(connection, self._batch, upload)

    def _head(self, method: str, target: str, authority: str, headers: Mapping[str, str]) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{self._common}{lines}\r\n".encode()

    def _open_pool(self) -> ConnectionPool:
        if self._pool is None:
            environment = self._environment
            self._pool = ConnectionPool(
                self._ssl, environment.timeout, environment.max_conn, environment.keepalive_expiry, self._check
            )
        return self._pool


class Upload:
    """A body that is sent in pieces, while the answer may already come.

    Attributes:
        ended: no more of it will be sent.
        complete: all of it was sent.
        sent: bytes sent so far.
        failure: what the output itself failed with.
    """

    def __init__(self, connection: Connection, output: Output, piece: int) -> None:
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
    """Origin, and path with query.

    Raises:
        _UnaskableError: not a URL that can stand in a request line.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise _UnaskableError("expected http://HOST:PORT/PATH in ASCII")
    target = match[3].partition("#")[0]
    try:
        origin = parse_origin(match[1], match[2])
    except ValueError as error:
        raise _UnaskableError(str(error)) from error
    return origin, target if target.startswith("/") else "/" + target


def describe(error: BaseException) -> str:
    """A sentence for an error of the network."""
    if isinstance(error, TimeoutError):
        return "no progress within the time-out"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _ssl_context(environment: Environment) -> ssl.SSLContext | None:
    if not (environment.skip_verify or environment.client_ca or environment.crt):
        return None
    context = ssl.create_default_context()
    if environment.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if environment.client_ca:
            context.load_verify_locations(environment.client_ca)
        if environment.crt:
            context.load_cert_chain(environment.crt, environment.crt_key or None)
    except OSError as error:
        raise ConfigurationError(
            f"can't load the certificates of AIS_CLIENT_CA={environment.client_ca!r}, AIS_CRT={environment.crt!r}, "
            f"AIS_CRT_KEY={environment.crt_key!r}: {error}"
        ) from error
    return context
