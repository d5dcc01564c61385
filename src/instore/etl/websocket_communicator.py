"""Requests to an ETL server over WebSocket: the target's side of docs/protocol.md#websocket.

Answers come in the order of the requests, one for one. Where the result is delivered, several objects are under way on
a connection, since the failure of one is a message. Everywhere else a failure closes the connection, so an object has
one to itself. What was under way on a connection that closes has no answer, and may be requested again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from instore.errors import AnswerError, IncompleteAnswerError
from instore.etl.communicator import TransformRequest, TransformResponse
from instore.http.bodies import Stream
from instore.protocol.headers import DEFAULT_MIME_TYPE, WEBSOCKET_PATH
from instore.protocol.responses import error_text
from instore.protocol.websocket import CLOSE_FAILED, write_control

LARGEST = 1 << 30
"""Bytes of a result that comes as one message: it is held in memory."""

_TOGETHER = 8  # objects under way on a connection whose results are delivered
_CONNECT_TIMEOUT = 10.0


class WebSocketCommunicator:
    """Connections to one server, opened as they are needed."""

    def __init__(self, base: str) -> None:
        self._url = "ws" + base.removeprefix("http") + WEBSOCKET_PATH
        self._sessions: set[_Session] = set()

    async def send(self, request: TransformRequest) -> TransformResponse | None:
        """Have one object transformed; see `Communicator`."""
        session = self._choose(request.delivers) or await self._open()
        session.load += 1 if request.delivers else _TOGETHER
        try:
            message = await session.exchange(request)
        except asyncio.CancelledError:
            await self._drop(session)  # answers come in order, and its own would be the next one
            raise
        except IncompleteAnswerError:
            self._sessions.discard(session)
            raise
        finally:
            session.load -= 1 if request.delivers else _TOGETHER
        return _read(message, request)

    async def close(self) -> None:
        """Close every connection."""
        for session in list(self._sessions):
            await self._drop(session)

    def _choose(self, together: bool) -> "_Session | None":
        """The connection with most room for an object; None if all are full."""
        most = _TOGETHER - 1 if together else 0
        fit = [session for session in self._sessions if session.load <= most and not session.closed]
        return min(fit, key=lambda session: session.load, default=None)

    async def _open(self) -> "_Session":
        try:
            connection = await connect(
                self._url,
                max_size=LARGEST,
                max_queue=None,
                compression=None,
                ping_interval=None,  # a server that transforms need not answer pings
                proxy=None,
                open_timeout=_CONNECT_TIMEOUT,
                close_timeout=1,
                user_agent_header=None,
            )
        except (OSError, WebSocketException) as error:
            raise IncompleteAnswerError("no WebSocket connection could be made", str(error)) from error
        session = _Session(connection)
        self._sessions.add(session)
        return session

    async def _drop(self, session: "_Session") -> None:
        self._sessions.discard(session)
        await session.close()


class _Session:
    """One connection.

    Attributes:
        load: what is under way; an object that needs the connection for itself counts as many.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.load = 0
        self._connection = connection
        self._expected: deque[asyncio.Future[bytes | str]] = deque()
        self._sending = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())

    @property
    def closed(self) -> bool:
        """Whether no answer will come any more."""
        return self._reader.done()

    async def exchange(self, request: TransformRequest) -> bytes | str:
        """Send an object, and wait for its answer."""
        answer: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()
        async with self._sending:
            if self.closed:
                raise IncompleteAnswerError("the connection closed before the object was sent")
            self._expected.append(answer)
            try:
                fqn = request.fqn if request.body is None else ""
                await self._connection.send(write_control(request.path, fqn, request.etl_args, request.pipeline))
                if request.body is not None:
                    await self._connection.send(_batches(request.body()))
                elif not fqn:
                    await self._connection.send(b"")
            except ConnectionClosed:
                await asyncio.wait({self._reader})  # it says why
        return await answer

    async def close(self) -> None:
        """Close the connection; what is under way gets no answer."""
        self._reader.cancel()
        await asyncio.wait({self._reader})
        self._connection.transport.abort()

    async def _read(self) -> None:
        reason = "the connection was given up"
        failure: Exception = IncompleteAnswerError(reason)
        try:
            async for message in self._connection:
                if not self._expected:
                    failure = IncompleteAnswerError("the server sent an answer to no request")
                    break
                answer = self._expected.popleft()
                if not answer.done():
                    answer.set_result(message)
            else:
                failure = self._why_closed()
        except ConnectionClosed:
            failure = self._why_closed()
        finally:
            self._give_up(failure)

    def _why_closed(self) -> Exception:
        """What a closed connection means to the first object that has no answer yet."""
        code, reason = self._connection.close_code, self._connection.close_reason
        if code == CLOSE_FAILED and reason:
            return AnswerError(reason)  # how a server fails an object that it can't fail otherwise
        return IncompleteAnswerError("the connection closed before the answer", f"{code} {reason or ''}".strip())

    def _give_up(self, failure: Exception) -> None:
        for answer in self._expected:
            if not answer.done():
                answer.set_exception(failure)
            failure = IncompleteAnswerError("the connection closed before the answer")
        self._expected.clear()
        self._connection.transport.abort()


class _WholeTransformResponse:
    """A message as the object; see `TransformResponse`."""

    def __init__(self, data: bytes) -> None:
        self.content_type = DEFAULT_MIME_TYPE
        self.length: int | None = len(data)
        self._data = data

    async def pieces(self) -> AsyncIterator[bytes]:
        """The object; see `TransformResponse`."""
        if self._data:
            yield self._data

    async def close(self) -> None:
        """Nothing is held."""


def _read(message: bytes | str, request: TransformRequest) -> TransformResponse | None:
    """What a message means for the object that was requested."""
    if isinstance(message, str):
        if request.delivers:
            return None
        raise AnswerError(
            f"the server says that the result is delivered, which it was not asked to do: {message[:200]!r}"
        )
    if request.delivers:
        raise AnswerError(error_text(message) or "the server gave an empty answer, not a delivery")
    return _WholeTransformResponse(message)


async def _batches(stream: Stream) -> AsyncIterator[bytes]:
    """The bytes of a stream as fragments of a message; one empty one, if it has none."""
    batch = await stream.take()
    yield batch
    while batch and (batch := await stream.take()):
        yield batch
