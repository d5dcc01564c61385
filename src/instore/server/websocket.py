"""WebSocket: many objects on one connection, answered in order (docs/protocol.md#websocket).

The target takes *any* text message for "delivered", and has no message for "failed". So text is sent for exactly one
thing, a direct put that ended at a target. A failed object is a binary message where the pipeline ends at a target,
which the target reports as that object's error; everywhere else it closes the connection, and the objects behind it
fail loudly with it.

One task reads; an object's own task begins as soon as it is read; one task answers, in the order of arrival. What may
be under way at once is bounded in number and in bytes, and reading stops there.
"""

import asyncio
from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from instore.errors import ClientGoneError, InstoreError, InvalidPipelineError, MalformedControlError
from instore.http.client import FAILURES
from instore.protocol.headers import DIRECT_PUT_LENGTH, WEBSOCKET_PATH
from instore.protocol.pipeline import ends_at_target
from instore.protocol.requests import ObjectRequest, SourceKind
from instore.protocol.websocket import CLOSE_FAILED, CLOSE_POLICY, close_reason, parse_control
from instore.server.access_log import AccessLogEntry
from instore.server.direct_put import Response
from instore.server.exchange import Service
from instore.server.http import Scope, Send
from instore.server.sources import BytesSource, Receive, Source

_AHEAD = 8  # objects under way beyond those that transform: on their way in, or to the next hop
_BYTES_AHEAD = 64 << 20

Message = MutableMapping[str, Any]


class WebSocketHandler:
    """Serves WebSocket connections.

    Args:
        service: what the requests are for.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends."""
        await receive()
        if scope["path"] != WEBSOCKET_PATH:
            await send(
                {"type": "websocket.close", "code": CLOSE_POLICY, "reason": f"WebSocket is served at {WEBSOCKET_PATH}"}
            )
            return
        await send({"type": "websocket.accept"})
        await _WebSocketConnection(self._service, receive, send).run()


@dataclass(slots=True)
class _PendingObject:
    """An object under way, or the end of the connection: what `answer` gives is sent when its turn comes."""

    answer: "asyncio.Task[Message]"
    size: int
    request: ObjectRequest | None = None


class _WebSocketConnection:
    def __init__(self, service: Service, receive: Receive, send: Send) -> None:
        self._service = service
        self._receive = receive
        self._send = send
        self._items: deque[_PendingObject] = deque()
        self._bytes = 0
        self._most = service.server.concurrency + _AHEAD
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._sends = 0  # begun and ended, together: odd while one is under way

    async def run(self) -> None:
        """Read and answer until either ends, or the client takes no answer any more."""
        sides = [asyncio.create_task(side) for side in (self._read(), self._answer(), self._notice_stall())]
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [*sides, *(item.answer for item in self._items)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for item in self._items:
                if item.request is not None and item.answer.cancelled():
                    self._lost(item.request, "its answer was there")
        for task in sides:
            if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, OSError):
                raise error

    async def _read(self) -> None:
        """Begin one object after the other, until the client leaves or sends what is not due."""
        try:
            while (request := await self._control()) is not None:
                body = await self._body() if request.origin is SourceKind.BODY else b""
                if body is None:
                    self._lost(request, "its bytes were there")
                    return
                source = BytesSource(body) if request.origin is SourceKind.BODY else self._service.file(request)
                answer = asyncio.create_task(self._object(request, source))
                await self._begin(_PendingObject(answer, len(body), request))
        except (MalformedControlError, InvalidPipelineError) as error:
            code = error.code if isinstance(error, MalformedControlError) else CLOSE_POLICY
            self._service.access_log.failed(self._record("message"), 0, 0, error)
            await self._begin(_PendingObject(asyncio.create_task(self._closing(code, error)), 0))
            await asyncio.Event().wait()  # until the answers before it are sent and the connection is closed

    async def _control(self) -> ObjectRequest | None:
        data = await self._next("a control message")
        return None if data is None else parse_control(data)

    async def _body(self) -> bytes | None:
        return await self._next("the object's bytes")

    async def _next(self, expected: str) -> bytes | None:
        """The next binary message; None when the client has left."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        data: bytes | None = message.get("bytes")
        if data is None:
            raise MalformedControlError(
                CLOSE_POLICY, f"got a text message, expected {expected}: {message['text'][:80]!r}"
            )
        return data

    def _lost(self, request: ObjectRequest, due: str) -> None:
        """The connection ended before what was `due`."""
        error = ClientGoneError(f"the connection ended before {due}")
        self._service.access_log.failed(self._record("message", request), 0, 0, error)

    def _record(
        self, subject: str, request: ObjectRequest | None = None, source: Source | None = None
    ) -> AccessLogEntry:
        record = self._service.access_log.begin("WS", subject)
        record.request, record.source = request, source
        return record

    async def _begin(self, item: _PendingObject) -> None:
        self._items.append(item)
        self._bytes += item.size
        self._arrived.set()
        while len(self._items) >= self._most or self._bytes >= _BYTES_AHEAD:
            self._room.clear()
            await self._room.wait()

    async def _answer(self) -> None:
        """Send the answers in order, until one of them closes the connection."""
        while True:
            while not self._items:
                self._arrived.clear()
                await self._arrived.wait()
            item = self._items[0]
            message = await item.answer
            self._sends += 1
            await self._send(message)
            self._sends += 1
            if message["type"] == "websocket.close":
                return
            self._items.popleft()
            self._bytes -= item.size
            self._room.set()

    async def _notice_stall(self) -> None:
        """End when one answer has not been accepted for the time-out at least, and twice that at most.

        Looked at from beside, since a timer for each answer costs more than the answer of a small object.
        """
        while True:
            before = self._sends
            await asyncio.sleep(self._service.environment.timeout)
            if before % 2 and self._sends == before:
                return

    async def _object(self, request: ObjectRequest, source: Source) -> Message:
        record = self._record("message", request, source)
        exchange = self._service.exchange(request, source)
        try:
            reply = await exchange.begin()
            result = await _whole(reply)
        except (InstoreError, *FAILURES) as error:
            self._service.access_log.failed(record, 0, 0, error)
            return self._failure(request, self._service.refusal(error).output.first)
        finally:
            await exchange.end()
        self._service.access_log.served(record, reply.status, len(result))
        if reply.status >= 400:
            return self._failure(request, result or f"{request.next_url} answered {reply.status}".encode())
        if reply.status == 204:
            return {"type": "websocket.send", "text": reply.headers.get(DIRECT_PUT_LENGTH, "0")}
        return {"type": "websocket.send", "bytes": result}

    def _failure(self, request: ObjectRequest, sentence: bytes) -> Message:
        if ends_at_target(request.next_url, request.pipeline):
            return {"type": "websocket.send", "bytes": sentence}
        return _close(CLOSE_FAILED, sentence.decode(errors="replace"))

    async def _closing(self, code: int, error: InstoreError) -> Message:
        return _close(code, self._service.environment.redact(str(error)))


async def _whole(reply: Response) -> bytes:
    if reply.output.rest is None:
        return reply.output.first
    return b"".join([batch async for batch in reply.output.batches()])


def _close(code: int, sentence: str) -> Message:
    return {"type": "websocket.close", "code": code, "reason": close_reason(sentence)}
