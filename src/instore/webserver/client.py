"""The outbound HTTP client: GET from the target, PUT to the next hop.

One session a process, with the pool and the TLS settings of the environment. The time-out is on progress: it runs
while the peer is to connect, to take bytes or to answer, and not while our own transform is at work. Errors of the
library are mapped here, at the edge: a GET that fails is a `TargetError`, a PUT that fails in a way that may pass is a
`TransientError`. The library sends a request again by itself when a kept connection turns out closed; it may do that
with bytes, and never with a stream, of which only the remainder would go out.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDictProxy
from yarl import URL

from instore.errors import ConfigurationError, InvalidPipelineError, TargetError
from instore.protocol.environment import Environment
from instore.webserver.output import Output

_CONNECT_TIMEOUT = 10.0
_ONE_WRITE = 1 << 20
_BODILESS = (204, 304)
FAILURES = (aiohttp.ClientError, OSError)  # what an exchange can fail with; time-outs are OSErrors


class TransientError(Exception):
    """A PUT failed in a way that may pass; the cause says how."""


class Response:
    """An answer whose body is read batch by batch.

    Attributes:
        status: HTTP status.
        headers: as they came.
        upload: the body that was sent for it, if it was sent in pieces.
    """

    def __init__(self, response: aiohttp.ClientResponse, environment: Environment, upload: "_Upload | None") -> None:
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers
        self.upload = upload
        self._response = response
        self._timeout = environment.timeout
        self._batch = environment.direct_put_chunk_size
        self._framed = _is_framed(response)

    @property
    def length(self) -> int | None:
        """The announced length in bytes; None when the body is chunked."""
        return self._response.content_length

    @property
    def drained(self) -> bool:
        """Whether the whole body was taken."""
        return self._response.content.at_eof()

    async def take(self) -> bytes:
        """The next batch of the body; empty at its end.

        Raises:
            aiohttp.ClientError, OSError: the body broke off or stalled, or has no end that could be told from a break.
        """
        if not self._framed and self.status < 400:
            raise aiohttp.ClientPayloadError("it announces neither a length nor chunks, so nobody can know it whole")
        content = self._response.content
        pieces: list[bytes] = []
        size = 0
        while size < self._batch and not content.at_eof():
            # While we still send, the answer may have to wait for us.
            sending = self.upload is not None and not self.upload.ended
            async with asyncio.timeout(None if sending else self._timeout):
                piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Give the connection back, or close it unless the exchange came to its end on both sides."""
        if self.drained and (self.upload is None or self.upload.complete):
            self._response.release()
        else:
            self._response.close()


class Outbound:
    """The client of one ETL server process. Its session is opened by the first request.

    Raises:
        ConfigurationError: a certificate or key can't be loaded.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ssl = _ssl_context(environment)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Response:
        """GET `url`.

        Raises:
            TargetError: it can't be reached.
        """
        try:
            async with asyncio.timeout(self._environment.timeout):
                response = await self._request("GET", url)
        except FAILURES as error:
            raise TargetError(f"can't reach the target: {describe(error)}") from error
        return Response(response, self._environment, None)

    async def put(self, url: str, output: Output, headers: Mapping[str, str]) -> Response:
        """PUT `output` to `url`; the length is announced where it is known, else the body is chunked.

        Raises:
            TransientError: connection lost or refused, time-out, broken framing.
            InvalidPipelineError: `url` is not a URL that can be asked.
            Exception: whatever the output itself failed with.
        """
        upload: _Upload | None = None
        try:
            if output.length is not None and output.length <= _ONE_WRITE:
                async with asyncio.timeout(self._environment.timeout):
                    response = await self._request("PUT", url, output.first, headers)
            else:
                async with asyncio.timeout(None) as watch:
                    upload = _Upload(output, watch, self._environment)
                    response = await self._request("PUT", url, upload, headers)
                    upload.answered = True
        except (aiohttp.InvalidURL, ValueError) as error:
            raise InvalidPipelineError(f"the pipeline entry is not a URL that can be asked: {error}") from error
        except FAILURES as error:
            if upload is not None and upload.failure is not None:
                raise upload.failure from None
            raise TransientError(describe(error)) from error
        return Response(response, self._environment, upload)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _request(
        self,
        method: str,
        url: str,
        data: "bytes | _Upload | None" = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._open()
        return await self._session.request(
            method, URL(url, encoded=True), data=data, headers=headers, allow_redirects=False
        )

    def _open(self) -> aiohttp.ClientSession:
        environment = self._environment
        connector = aiohttp.TCPConnector(
            limit=environment.max_conn, keepalive_timeout=environment.keepalive_expiry, ssl=self._ssl
        )
        headers = {"Accept-Encoding": "identity"}
        if environment.authn_token:
            headers["Authorization"] = f"Bearer {environment.authn_token}"
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_TIMEOUT, environment.timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class _Upload(aiohttp.Payload):
    """A body in pieces that can be sent once.

    Attributes:
        ended: no more of it will be sent.
        complete: all of it was sent.
        answered: the answer has begun.
        sent: bytes sent so far.
        failure: what the output itself failed with.
    """

    _value: Output
    _autoclose = True

    def __init__(self, output: Output, watch: asyncio.Timeout, environment: Environment) -> None:
        super().__init__(output)
        self._size = output.length
        self._watch = watch
        self._timeout = environment.timeout
        self._piece = environment.direct_put_chunk_size
        self.ended = False
        self.complete = False
        self.answered = False
        self.sent = 0
        self.failure: BaseException | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        """Not text."""
        raise TypeError("an upload is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it all."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, _content_length: int | None) -> None:
        """Send it all; the length, where there is one, is our own."""
        self._consumed = True
        try:
            batch = self._value.first
            while batch:
                await self._send(writer, batch)
                batch = await self._next()
            self.complete = True
            if not self.answered:  # else whoever reads the answer watches the time
                self._watch.reschedule(asyncio.get_running_loop().time() + self._timeout)
        finally:
            self.ended = True

    async def _send(self, writer: AbstractStreamWriter, batch: bytes) -> None:
        view = memoryview(batch)
        for start in range(0, len(view), self._piece):
            piece = view[start : start + self._piece]
            async with asyncio.timeout(self._timeout):
                await writer.write(piece)
            self.sent += len(piece)

    async def _next(self) -> bytes:
        if self._value.rest is None:
            return b""
        try:
            return await self._value.rest.take()
        except Exception as error:
            self.failure = error
            raise


def _is_framed(response: aiohttp.ClientResponse) -> bool:
    """Whether the end of the body shows in the body, and is not just the end of the connection."""
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return chunked or response.content_length is not None or response.status in _BODILESS


def describe(error: BaseException) -> str:
    """A sentence for an error of the network."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"can't connect to {error.host}:{error.port}: {os.strerror(error.errno) if error.errno else error}"
    if isinstance(error, TimeoutError):
        return "no progress within the time-out"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _ssl_context(environment: Environment) -> ssl.SSLContext | bool:
    """The TLS settings; True stands for the library's own."""
    if not (environment.skip_verify or environment.client_ca or environment.crt):
        return True
    context = ssl.create_default_context()
    if environment.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if environment.client_ca:
            context.load_verify_locations(environment.client_ca)
        if environment.crt:
            context.load_cert_chain(environment.crt, environment.crt_key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"can't load the certificates of AIS_CLIENT_CA={environment.client_ca!r}, AIS_CRT={environment.crt!r}, "
            f"AIS_CRT_KEY={environment.crt_key!r}: {error}"
        ) from error
    return context
