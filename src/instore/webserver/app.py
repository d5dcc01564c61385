"""The ETL server as an ASGI 3 application: the doors, and the one way behind them.

Whatever carries a request, it goes *source* -> *transform* -> *delivery* -> *outcome*. `ETLApplication` reads the
request, chooses the source and the shape (buffered or streamed), has the result delivered, and sends the answer. An
error before the answer has begun is a status and a sentence; after that, the framing is broken on purpose, so that
nobody can take a part of an object for the whole.
"""

import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from instore.errors import (
    ETLDirectPutTransientError,
    InstoreError,
    TransformError,
    status_of,
)
from instore.protocol.headers import (
    CONCURRENCY,
    HEALTH_BODY,
    HEALTH_PATH,
    RETRY_DIRECT_PUT_TRANSIENT,
    RETRY_REASON,
)
from instore.protocol.requests import METHODS, ObjectRequest, Origin, parse_request
from instore.webserver.answer import TEXT, Answer, Send
from instore.webserver.base_etl_server import ETLServer
from instore.webserver.client import FAILURES, Outbound, describe
from instore.webserver.delivery import Delivery
from instore.webserver.files import FileRules
from instore.webserver.outcome import Outcomes
from instore.webserver.production import Buffered, Production, Streamed
from instore.webserver.source import BodySource, FileSource, Receive, Source, TargetSource
from instore.webserver.transform import Transforms
from instore.webserver.watch import Watch

Scope = MutableMapping[str, Any]


class BrokenAnswerError(Exception):
    """Raised to the ASGI server to make it break the framing of an answer that has begun."""


class ETLApplication:
    """An ASGI application around one transform.

    Args:
        server: the user's object.

    Raises:
        ConfigurationError: the environment is unfit (protocol section 1).
    """

    def __init__(self, server: ETLServer) -> None:
        self.server = server
        self._environment = server.environment
        self._rules = FileRules(self._environment.file_roots)
        self._outbound = Outbound(self._environment)
        self._transforms = Transforms(server)
        self._delivery = Delivery(self._environment, self._outbound)
        self._outcomes = Outcomes(self._environment)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            BrokenAnswerError: an answer that has begun can't be completed.
        """
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket is served"})

    async def close(self) -> None:
        """Close the connections to others and take no more transforms."""
        await self._outbound.close()
        self._transforms.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        raw_path = _raw_path(scope)
        answer = Answer(send, self._environment.timeout)
        if raw_path == HEALTH_PATH and method in ("GET", "HEAD"):
            await answer.whole(200, HEALTH_BODY, TEXT, {CONCURRENCY: str(self.server.concurrency)})
        elif method not in METHODS:
            methods = ", ".join(METHODS)
            sentence = f"{method} is not served here; the methods are {methods}"
            await answer.whole(405, sentence.encode(), TEXT, {"Allow": methods})
        else:
            await self._serve(scope, raw_path, receive, answer)

    async def _serve(self, scope: Scope, raw_path: str, receive: Receive, answer: Answer) -> None:
        began = time.perf_counter()
        subject: ObjectRequest | str = f"{scope['method']} {raw_path}"
        try:
            query = scope["query_string"].decode(errors="surrogateescape")
            request = subject = parse_request(scope["method"], raw_path, query, scope["headers"])
            await self._exchange(request, self._source(request, receive), receive, answer)
        except (InstoreError, *FAILURES) as error:
            self._outcomes.failed(subject, answer.status, answer.sent, began, error)
            if answer.status:
                raise BrokenAnswerError(str(error)) from None
            await self._refuse(answer, error)
        else:
            self._outcomes.served(request, answer.status, answer.sent, began)

    async def _exchange(self, request: ObjectRequest, source: Source, receive: Receive, answer: Answer) -> None:
        production = self._production(request, source)
        watch = Watch(receive, source, production)
        try:
            mime_type = self._mime_type()
            if request.next_url:
                await self._put(request, production, mime_type, answer)
            else:
                output = await production.begin()
                if output.rest is None:
                    await answer.whole(200, output.first, mime_type)
                else:
                    await answer.stream(200, output, mime_type)
        finally:
            watch.stop()
            await production.end()

    async def _put(self, request: ObjectRequest, production: Production, mime_type: str, answer: Answer) -> None:
        reply = await self._delivery.put(request, production, mime_type)
        try:
            if reply.output.rest is None:
                await answer.whole(reply.status, reply.output.first, reply.content_type, reply.headers)
            else:
                await answer.stream(reply.status, reply.output, reply.content_type, reply.headers)
        finally:
            reply.close()

    def _source(self, request: ObjectRequest, receive: Receive) -> Source:
        match request.origin:
            case Origin.FILE:
                return FileSource(request.fqn, self._rules, self._environment.direct_fqn)
            case Origin.BODY:
                return BodySource(receive, request.length, self._environment.timeout)
            case Origin.TARGET:
                return TargetSource(request, self._environment.target_url, self._outbound)

    def _production(self, request: ObjectRequest, source: Source) -> Production:
        if self.server.use_streaming:
            return Streamed(request, source, self._transforms, self._environment.direct_put_chunk_size)
        return Buffered(request, source, self._transforms)

    def _mime_type(self) -> str:
        try:
            return self.server.get_mime_type()
        except Exception as error:
            raise TransformError(f"get_mime_type() failed: {type(error).__name__}: {error}") from error

    async def _refuse(self, answer: Answer, error: BaseException) -> None:
        status, headers = status_of(error), {}
        if isinstance(error, ETLDirectPutTransientError) and error.bail_without_local_retry:
            status, headers = 503, {RETRY_REASON: RETRY_DIRECT_PUT_TRANSIENT}
        sentence = str(error) if isinstance(error, InstoreError) else describe(error)
        body = self._environment.redact(sentence).encode(errors="backslashreplace")
        await answer.whole(status, body, TEXT, headers)


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0].decode(errors="surrogateescape") if raw is not None else quote(scope["path"])
