"""HTTP: one request is one object, or a question about the server (docs/protocol.md#requests).

An error before the answer has begun is a status and a sentence. After that the framing is broken on purpose, so that
nobody can take a part of an object for the whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from instore.errors import InstoreError
from instore.http.bodies import Body
from instore.http.client import FAILURES
from instore.protocol.headers import CONCURRENCY, DOWNLOAD_PATH, HEALTH_BODY, HEALTH_PATH
from instore.protocol.requests import METHODS, ObjectRequest, SourceKind, parse_download, parse_request
from instore.server.direct_put import Response
from instore.server.disconnects import DisconnectWatcher
from instore.server.exchange import TEXT, Service
from instore.server.sources import BodySource, Receive, Source

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BrokenResponseError(Exception):
    """Raised to the ASGI server to make it break the framing of an answer that has begun."""


class HTTPHandler:
    """Serves HTTP requests.

    Args:
        service: what the requests are for.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timeout = service.environment.timeout
        self._watch = DisconnectWatcher()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            BrokenAnswerError: the answer has begun and can't be completed.
        """
        method: str = scope["method"]
        raw_path = _raw_path(scope)
        answer = ResponseWriter(send, self._timeout)
        if raw_path == HEALTH_PATH and method in ("GET", "HEAD"):
            headers = {CONCURRENCY: str(self._service.server.offered_concurrency)}
            await answer.give(Response(200, Body(HEALTH_BODY), TEXT, headers))
        elif raw_path == DOWNLOAD_PATH and method == "POST":
            await self._object(scope, receive, answer, lambda query: parse_download(query, scope["headers"]))
        elif method not in METHODS:
            methods = ", ".join(METHODS)
            sentence = f"{method} is not served here; the methods are {methods}"
            await answer.give(Response(405, Body(sentence.encode()), TEXT, {"Allow": methods}))
        else:
            await self._object(
                scope, receive, answer, lambda query: parse_request(method, raw_path, query, scope["headers"])
            )

    async def _object(
        self, scope: Scope, receive: Receive, answer: "ResponseWriter", parse: Callable[[str], ObjectRequest]
    ) -> None:
        record = self._service.access_log.begin(scope["method"], scope["path"])
        try:
            query = scope["query_string"].decode(errors="surrogateescape")
            record.request = request = parse(query)
            record.source = source = self._source(request, receive)
            await self._exchange(request, source, receive, answer)
        except (InstoreError, *FAILURES) as error:
            self._service.access_log.failed(record, answer.status, answer.sent, error)
            if answer.status:
                raise BrokenResponseError(str(error)) from None
            await answer.give(self._service.refusal(error))
        else:
            self._service.access_log.served(record, answer.status, answer.sent)

    async def _exchange(
        self, request: ObjectRequest, source: Source, receive: Receive, answer: "ResponseWriter"
    ) -> None:
        exchange = self._service.exchange(request, source)
        watched = self._watch.begin(receive, source, exchange.result)
        try:
            await answer.give(await exchange.begin())
        finally:
            self._watch.end(watched)
            await exchange.end()

    def _source(self, request: ObjectRequest, receive: Receive) -> Source:
        match request.origin:
            case SourceKind.FILE:
                return self._service.file(request)
            case SourceKind.BODY:
                return BodySource(receive, request.length, self._timeout)
            case SourceKind.TARGET:
                return self._service.target(request)
            case SourceKind.URL:
                return self._service.url(request)


class ResponseWriter:
    """One answer: sent whole, or begun and then either completed or left broken.

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

    async def give(self, reply: Response) -> None:
        """Send `reply`: its length is announced where it is known, else the body is chunked; 204 has none.

        Raises:
            TimeoutError: the other side takes nothing any more.
            Exception: whatever the output failed with; the answer is then incomplete.
        """
        output = reply.output
        headers = _header_lines(reply.headers)
        if reply.status != 204:
            headers.append((b"content-type", reply.content_type.encode("latin-1")))
            if output.rest is None:
                headers.append((b"content-length", b"%d" % len(output.first)))
        self.status = reply.status
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if output.rest is None:
            await self._send({"type": "http.response.body", "body": output.first})
            self.sent = len(output.first)
        else:
            await self._stream(output)

    async def _stream(self, output: Body) -> None:
        async for batch in output.batches():
            async with asyncio.timeout(self._timeout):
                await self._send({"type": "http.response.body", "body": batch, "more_body": True})
            self.sent += len(batch)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _header_lines(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0].decode(errors="surrogateescape") if raw is not None else quote(scope["path"])
