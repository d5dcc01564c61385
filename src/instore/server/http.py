"""HTTP: one request is one object, or a question about the server (docs/protocol.md#requests).

An error before the answer has begun is a status and a sentence. After that the framing is broken on purpose, so that
nobody can take a part of an object for the whole.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from instore.errors import ClientGoneError, DirectPutError, HTTPVersionError, InstoreError, OverloadedError
from instore.http.bodies import Body
from instore.http.client import FAILURES
from instore.http.exposition import expose
from instore.http.request import Request
from instore.protocol.headers import (
    ARGUMENTS_PATH,
    CONCURRENCY,
    DOWNLOAD_PATH,
    GROUP_PATH,
    GROUPS,
    HEALTH_BODY,
    HEALTH_PATH,
    METRICS_PATH,
    READY_PATH,
    RESULTS_TYPE,
)
from instore.protocol.object_groups import GROUP_TYPE, decode_group
from instore.protocol.requests import METHODS, ObjectRequest, SourceKind, parse_download, parse_request
from instore.server.arguments import schema_of
from instore.server.direct_put import Response
from instore.server.entry import AccessLogEntry
from instore.server.exchange import TEXT, Service
from instore.server.held import HeldStream, hold
from instore.server.object_group import ObjectGroup
from instore.server.pipes import OutputPipe
from instore.server.ready_exchange import GONE, ReadyExchange
from instore.server.sources import BodySource, BytesSource, Source
from instore.system.printable import say
from instore.system.steps import Steps

_BODY, _FILE = SourceKind.BODY, SourceKind.FILE  # before Python 3.12, to look a member up costs half a microsecond
_OWN = (HEALTH_PATH, READY_PATH, METRICS_PATH, ARGUMENTS_PATH)


class BrokenResponseError(InstoreError):
    """Raised to the server to make it break the framing of an answer that has begun."""


class HTTPHandler:
    """Serves HTTP requests.

    Attributes:
        stopping: the server was told to stop.
    """

    def __init__(self, service: Service) -> None:
        self.stopping = False
        self._service = service
        self._named: dict[SourceKind, Callable[[ObjectRequest], Source]] = {  # objects that are not in the body
            SourceKind.FILE: service.file,
            SourceKind.TARGET: service.target,
            SourceKind.URL: service.url,
        }

    def serve(self, request: Request) -> Coroutine[Any, Any, None] | Steps:
        """Serve one request."""
        method = request.method
        path, _, query = request.target.partition(b"?")
        raw_path = path.decode(errors="surrogateescape")
        if raw_path in _OWN and method in ("GET", "HEAD"):
            return self._serve_own(request, raw_path)
        if self._service.is_overloaded:
            self._service.counters.refused()
            error = OverloadedError("too many objects wait for their turn to be transformed; try again")
            return respond(request, self._service.refusal(error))
        if raw_path == DOWNLOAD_PATH and method == "POST":
            return self._serve_object(
                request, raw_path, partial(parse_download, query.decode(errors="surrogateescape"), request.headers)
            )
        if raw_path == GROUP_PATH and method == "POST":
            return self._serve_group(request)
        if method in METHODS:
            parse = partial(parse_request, method, raw_path, query.decode(errors="surrogateescape"), request.headers)
            return self._serve_object(request, raw_path, parse)
        methods = ", ".join(METHODS)
        sentence = f"{method} is not served here; the methods are {methods}"
        return respond(request, Response(405, Body(sentence.encode()), TEXT, {"Allow": methods}))

    async def _serve_own(self, request: Request, path: str) -> None:
        await respond(request, await self._own(path, request))

    async def _own(self, path: str, request: Request) -> Response:
        """Whether the process lives, whether it takes more, what its port has counted, and which arguments it takes."""
        if path == METRICS_PATH:
            self._service.publish()
            text, media_type = await expose(self._service.metrics, request.headers)
            return Response(200, Body(text), media_type)
        if path == ARGUMENTS_PATH:
            schema = schema_of(self._service.transform.args)
            return Response(200, Body(json.dumps(schema).encode()), "application/json")
        if path == READY_PATH and self.stopping:
            return Response(503, Body(b"Stopping"), TEXT)
        headers = {CONCURRENCY: str(self._service.transform.offered_concurrency)}
        if self._service.takes_groups:
            headers[GROUPS] = "true"
        return Response(200, Body(HEALTH_BODY), TEXT, headers)

    async def _serve_group(self, request: Request) -> None:
        try:
            objects = decode_group(await request.whole())
        except InstoreError as error:
            await respond(request, self._service.refusal(error))
            return
        await request.begin(200, [(b"content-type", GROUP_TYPE.encode())])
        group = ObjectGroup(request)
        request.on_gone(group.client_left)
        try:
            for number, wanted in enumerate(objects):
                group.start(number, wanted, partial(self._serve_grouped, wanted.request))
            while answers := await group.take():
                await request.write(answers)
        finally:
            request.on_gone(None)
            group.end()
        await request.end()

    def _serve_grouped(self, wanted: ObjectRequest, request: Request) -> Coroutine[Any, Any, None] | Steps:
        return self._serve_object(request, wanted.path, lambda: wanted)

    def _serve_object(
        self, request: Request, raw_path: str, parse: Callable[[], ObjectRequest]
    ) -> Coroutine[Any, Any, None] | Steps:
        service = self._service
        entry = service.access_log.begin(request.method, raw_path, request.headers)
        try:
            entry.request = wanted = parse()
        except Exception as error:
            return self._report(request, entry, error)
        ready = None if wanted.next_url or not service.awaits_nothing or request.must_wait else request.ready()
        if ready is None or wanted.origin not in (_BODY, _FILE):
            return self._exchange(request, entry, wanted)
        source = service.file(wanted) if wanted.origin is _FILE else BytesSource(ready.take())
        return ReadyExchange(service, ready, entry, wanted, source, self._report)

    async def _exchange(self, request: Request, entry: AccessLogEntry, wanted: ObjectRequest) -> None:
        """Serve an object that has to be awaited, or whose result goes elsewhere, or comes piece by piece."""
        service = self._service
        try:
            if request.must_wait:
                await request.wait_for_memory()
            entry.source = source = self._source(wanted, request)
            exchange = service.exchange(entry, wanted, source)
            request.on_gone(partial(exchange.result.abandon, GONE))
            try:
                response = await exchange.begin()
                if isinstance(response.output.rest, OutputPipe):
                    await self._hold(wanted, response, response.output.rest, request)
                await respond(request, response)
            finally:
                request.on_gone(None)
                await exchange.end()
        except (Exception, asyncio.CancelledError) as error:
            await self._report(request, entry, error)
        else:
            if request.status < 400:
                service.access_log.served(entry, request.status, request.sent)
            else:  # what the next hop said is passed on
                reason = DirectPutError(f"{wanted.next_url} answered {request.status}")
                service.access_log.failed(entry, request.status, request.sent, reason)

    async def _report(self, request: Request, entry: AccessLogEntry, error: BaseException) -> None:
        """An object failed: log it, and answer so, or break off an answer that has begun."""
        access_log = self._service.access_log
        if isinstance(error, asyncio.CancelledError):
            access_log.failed(entry, request.status, request.sent, ClientGoneError("the server stopped"))
            raise error
        is_expected = isinstance(error, (InstoreError, *FAILURES))
        if not is_expected:
            access_log.unexpected(error)
        access_log.failed(entry, request.status, request.sent, error)
        if request.status:
            raise BrokenResponseError(str(error) if is_expected else say(error)) from None
        if not isinstance(error, ClientGoneError):
            await respond(request, self._service.refusal(error))

    async def _hold(self, wanted: ObjectRequest, response: Response, rest: OutputPipe, request: Request) -> None:
        """Wait for the whole of a stream, where its breaking off could not be told from its end."""
        limit = self._service.environment.spool
        if response.content_type == RESULTS_TYPE:  # all of them or none
            limit = sys.maxsize
        elif request.streams and (wanted.next_url or wanted.origin is SourceKind.TARGET):
            return
        if limit:
            response.output = held = await hold(response.output.first, rest, limit)
            response.held = held.rest if isinstance(held.rest, HeldStream) else None
        if response.output.length is None and not request.streams:
            raise HTTPVersionError(
                "the result is too long to be held until it is whole, and HTTP/1.0 can't frame it; ask with HTTP/1.1"
            )

    def _source(self, wanted: ObjectRequest, request: Request) -> Source:
        named = self._named.get(wanted.origin)
        return BodySource(request, wanted.length) if named is None else named(wanted)


async def respond(request: Request, response: Response) -> None:
    """Answer with `response`: its length is announced where it is known, else the body is chunked; 204 has none."""
    body = response.output
    headers = [(b"content-type", response.content_type.encode("latin-1"))] if response.status != 204 else []
    for name, value in response.headers.items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    if body.rest is None:
        await request.respond(response.status, headers, body.first)
        return
    if body.length is not None:
        headers.append((b"content-length", b"%d" % body.length))
    await request.begin(response.status, headers)
    if not isinstance(body.rest, OutputPipe | HeldStream) or not await _pour(request, body.first, body.rest):
        async for batch in body.batches():
            await request.write(batch)
    await request.end()


async def _pour(request: Request, first: bytes, rest: OutputPipe | HeldStream) -> bool:
    """Have threads send the body of an answer that has begun, if they can."""
    socket = await request.lend_answer()
    if socket is None:
        return False
    try:
        await rest.pour(socket, first)
    finally:
        socket.cancel()
        request.sent += socket.sent
    return True
