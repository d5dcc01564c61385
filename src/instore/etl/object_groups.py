"""Small objects that are asked for in groups, so that the way to a server and back is shared by many.

Whoever asks in one turn of the event loop is in one group; each gets its answer when it comes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from instore.errors import AnswerError, IncompleteAnswerError, InstoreError
from instore.etl.communicator import PIECE, TransformRequest
from instore.etl.piece_reader import PieceReader
from instore.http.bodies import Body
from instore.http.client import Client, ClientResponse, describe
from instore.protocol.headers import GROUP_PATH
from instore.protocol.object_groups import HEAD_SIZE, GroupedObject, decode_head, decode_headers, encode_group
from instore.protocol.responses import error_text

_MOST = 32  # objects in a group: while one is under way, another is made up
_MOST_BYTES = 1 << 19  # of their bodies
_BROKE_OFF = "the answer broke off after 0 bytes"

_Awaited = asyncio.Future["GroupedAnswer"]


class GroupedAnswer:
    """One object's answer, whose body is read batch by batch.

    Args:
        first: the beginning of its body, or all of it.
        left: how many bytes come behind that.
        reader: reads them.

    Attributes:
        status: HTTP status.
        headers: lower-case names.
        received: bytes of the body that have come.
        left: bytes that nobody has read.
        closed: done once nobody reads any more.
    """

    def __init__(self, status: int, headers: Mapping[str, str], first: bytes, left: int, reader: PieceReader) -> None:
        self.status = status
        self.headers = headers
        self.received = len(first)
        self.left = left
        self.closed = asyncio.Event()
        self._first = first
        self._reader = reader

    async def take(self) -> bytes:
        """The next batch of the body; empty at its end."""
        batch, self._first = self._first, b""
        if not batch and self.left:
            batch = await self._reader.at_most(min(self.left, PIECE))
            self.left -= len(batch)
            self.received += len(batch)
        return batch

    async def close(self) -> None:
        """Be done with it."""
        self.closed.set()


class ObjectGroups:
    """Asks one server for small objects.

    Args:
        client: hands on what has come, however little that is.
        base: `http://HOST:PORT` of the server.
    """

    def __init__(self, client: Client, base: str) -> None:
        self._client = client
        self._url = base + GROUP_PATH
        self._next: dict[_Awaited, GroupedObject] = {}  # what is asked for in this turn
        self._size = 0  # bytes of that
        self._exchanges: set[asyncio.Task[None]] = set()

    async def ask(self, request: TransformRequest, body: bytes = b"", info: str = "") -> GroupedAnswer:
        """Ask for one object, of which a file is named or whose bytes go along; wait until its answer begins."""
        loop = asyncio.get_running_loop()
        answer: _Awaited = loop.create_future()
        if not self._next:
            loop.call_soon(self._send)
        fqn = "" if request.body is not None else request.fqn
        self._next[answer] = GroupedObject(request.path, fqn, request.etl_args, request.takes_results, body, info)
        self._size += len(body)
        if len(self._next) == _MOST or self._size >= _MOST_BYTES:
            self._send()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                await answer.result().close()  # the answers behind it wait for that
            raise

    def close(self) -> None:
        """Ask for nothing more."""
        for exchange in self._exchanges:
            exchange.cancel()
        self._client.close()

    def _send(self) -> None:
        group, self._next, self._size = self._next, {}, 0
        if group:
            exchange = asyncio.ensure_future(self._exchange(group))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanges.discard)

    async def _exchange(self, group: Mapping[_Awaited, GroupedObject]) -> None:
        """Ask for a group, and hand its answers out."""
        try:
            response = await self._client.request("POST", self._url, {}, Body(encode_group([*group.values()])))
            try:
                if response.status == 200:
                    await _hand_out(response, list(group))
                else:
                    _fail(group, AnswerError, error_text(await response.take()), response.status)
            finally:
                await response.close()
        except OSError as error:
            _fail(group, IncompleteAnswerError, _BROKE_OFF, describe(error), cause=error)
        finally:
            _fail(group, IncompleteAnswerError, _BROKE_OFF)


async def _hand_out(response: ClientResponse, group: Sequence[_Awaited]) -> None:
    """Give each object its answer as it comes."""
    reader = PieceReader(_pieces(response), _BROKE_OFF)
    while not await reader.is_at_end():
        head = decode_head(await reader.exactly(HEAD_SIZE))
        headers = decode_headers(await reader.exactly(head.headers_size))
        first = await reader.exactly(min(head.body_size, PIECE))
        answer = GroupedAnswer(head.status, headers, first, head.body_size - len(first), reader)
        if not group[head.number].done():
            group[head.number].set_result(answer)
            if answer.left:
                await answer.closed.wait()
        while answer.left:
            await answer.take()


async def _pieces(response: ClientResponse) -> AsyncIterator[bytes]:
    while piece := await response.take():
        yield piece


def _fail(
    group: Iterable[_Awaited], kind: type[InstoreError], *arguments: Any, cause: BaseException | None = None
) -> None:
    """Fail those that have no answer."""
    for answer in group:
        if not answer.done():
            failure = kind(*arguments)
            failure.__cause__ = cause
            answer.set_exception(failure)
