"""Objects on their way in and out: bounded pieces, the disk's work in threads, small objects in one hop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from starlette.types import Message, Receive, Scope, Send

from instore.errors import ClientGoneError, InstoreError
from instore.node.cluster import Cluster
from instore.store.names import Bucket
from instore.store.store import Entry, OpenObject, Store

logger = logging.getLogger("instore")

Made = TypeVar("Made", covariant=True)

PIECE = 1 << 20
"""Bytes that go to or come from the disk at once; an object up to this size is one hop to a thread."""

SMALL = 64 << 10
"""Bytes that are written without one, while the disk is quick."""


class BodyWriter(Protocol[Made]):
    """Where a body goes: an upload, a part, an append, an expected put."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""

    def commit(self) -> Made:
        """Keep it all."""

    def abort(self) -> None:
        """Drop it all; does nothing after `commit`."""


AnyWriter = TypeVar("AnyWriter", bound=BodyWriter[Any])


async def store_body(cluster: Cluster, store: Store, bucket: Bucket, name: str, receive: Receive) -> Entry:
    """Store a request's body as an object: whole, or not at all.

    Args:
        cluster: whose threads do it.
        store, bucket, name: where to.
        receive: ASGI's.

    Raises:
        ClientGoneError: the body ended early.
        Whatever `Store.put` raises.
    """
    return await take_body(cluster, lambda: store.upload(bucket, name), receive)


async def take_body(cluster: Cluster, begin: Callable[[], BodyWriter[Made]], receive: Receive) -> Made:
    """Hand a request's body to a writer, and commit it if it came to its end. A small one takes one hop to a thread.

    Args:
        cluster: whose threads do it.
        begin: makes the writer; it may block.
        receive: ASGI's.

    Returns:
        What `commit` gave.

    Raises:
        ClientGoneError: the body ended early.
        Whatever the writer raises.
    """
    pieces, more = await _batch(receive)
    if not more:
        hop = cluster.quick if sum(map(len, pieces)) <= SMALL else cluster.disk
        return await hop(take_whole, begin, pieces)
    async with writing(cluster, begin) as writer:
        await cluster.disk(_write, writer, pieces)
        while more:
            pieces, more = await _batch(receive)
            await cluster.disk(_write, writer, pieces)
        return await cluster.disk(writer.commit)


@asynccontextmanager
async def writing(cluster: Cluster, begin: Callable[[], AnyWriter]) -> AsyncIterator[AnyWriter]:
    """What `begin` makes in a thread; dropped at the end if it is not committed, however often we are cancelled."""
    made: list[AnyWriter] = []
    try:
        await cluster.disk(lambda: made.append(begin()))
        yield made[0]
    finally:
        for writer in made:
            await cluster.disk(writer.abort)


def take_whole(begin: Callable[[], BodyWriter[Made]], pieces: Sequence[bytes]) -> Made:
    """Hand a body that is at hand to a writer, and commit it. It blocks."""
    writer = begin()
    try:
        _write(writer, pieces)
        return writer.commit()
    finally:
        writer.abort()


def _write(writer: BodyWriter[Any], pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)


async def _batch(receive: Receive) -> tuple[list[bytes], bool]:
    """Some pieces of the body, `PIECE` bytes or a little more, and whether there are more to come."""
    pieces: list[bytes] = []
    size = 0
    while size < PIECE:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the request's body ended early; nothing of it is kept")
        body = message.get("body", b"")
        if body:
            pieces.append(body)
            size += len(body)
        if not message.get("more_body", False):
            return pieces, False
    return pieces, True


class ObjectAnswer:
    """An answer whose body is an object, or a part of one; an ASGI application.

    If the object can't be read to its end the framing is broken on purpose.

    Args:
        cluster: whose threads read.
        opened: the object; closed at the end.
        first: the body's first piece.
        start, end: which of the object's bytes.
        status: 200 or 206.
        headers: without the body's length.
    """

    def __init__(
        self,
        cluster: Cluster,
        opened: OpenObject,
        first: bytes,
        start: int,
        end: int,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        self._cluster = cluster
        self._opened = opened
        self._first = first
        self._start = start
        self._end = end
        self._status = status
        self._headers = headers

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(receive, send)
        finally:
            self._opened.close()

    async def _answer(self, receive: Receive, send: Send) -> None:
        length = self._end - self._start
        headers = [(key.lower().encode("latin-1"), encoded(value)) for key, value in self._headers.items()]
        headers.append((b"content-length", b"%d" % length))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        if len(self._first) == length:
            await send({"type": "http.response.body", "body": self._first})
            return
        gone = asyncio.create_task(until_gone(receive))
        try:
            await self._send_pieces(send, gone)
        finally:
            gone.cancel()

    async def _send_pieces(self, send: Send, gone: "asyncio.Task[None]") -> None:
        position, piece = self._start + len(self._first), self._first
        while position < self._end:
            await send(_part(piece, more=True))
            if gone.done():
                return
            try:
                piece = await self._cluster.disk(self._opened.read, position, min(PIECE, self._end - position))
            except OSError as error:
                logger.error("reading %s failed at byte %d: %s", self._opened.entry.name, position, error.strerror)  # noqa: TRY400
                return
            if not piece:
                logger.error("%s ended at byte %d of %d", self._opened.entry.name, position, self._end)
                return
            position += len(piece)
        await send(_part(piece, more=False))


def _part(body: bytes, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def until_gone(receive: Receive) -> None:
    """Wait until whoever asked has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def encoded(value: str) -> bytes:
    """A header's value as it goes over the wire: UTF-8, as AIStore sends it."""
    return value.encode("utf-8", "surrogateescape")


def open_piece(store: Store, bucket: Bucket, name: str) -> tuple[OpenObject, bytes]:
    """Open an object and read its first piece. It blocks; raises as `Store.open` does."""
    opened = store.open(bucket, name)
    try:
        with store.failing(f"reading {bucket.object(name)}"):
            return opened, opened.read(0, PIECE)
    except InstoreError:
        opened.close()
        raise
