"""Objects on their way in and out: bounded pieces, the disk's work in threads, small objects in one hop."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from instore.errors import IncompleteAnswerError, InstoreError
from instore.http.request import Request
from instore.node.cluster import Cluster
from instore.protocol.headers import CUSTOM_METADATA
from instore.store.names import Bucket
from instore.store.store import Store
from instore.store.stored import Entry, OpenObject

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


async def store_body(
    cluster: Cluster, store: Store, bucket: Bucket, name: str, request: Request, custom: Mapping[str, str]
) -> Entry:
    """Store a request's body as an object with custom properties: whole, or not at all."""
    return await take_body(cluster, lambda: store.upload(bucket, name, custom), request)


async def take_body(cluster: Cluster, begin: Callable[[], BodyWriter[Made]], request: Request) -> Made:
    """Hand a request's body to a writer, and commit it if it came to its end. A small one takes one hop to a thread."""
    pieces = await _batch(request)
    if request.ended:
        hop = cluster.quick if sum(map(len, pieces)) <= SMALL else cluster.disk
        return await hop(take_whole, begin, pieces)
    async with writing(cluster, begin) as writer:
        await cluster.disk(_write, writer, pieces)
        while not request.ended:
            await cluster.disk(_write, writer, await _batch(request))
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


async def _batch(request: Request) -> list[bytes]:
    """Some pieces of the body, `PIECE` bytes or a little more."""
    pieces: list[bytes] = []
    size = 0
    while size < PIECE and (piece := await request.read()):
        pieces.append(piece)
        size += len(piece)
    return pieces


class ObjectAnswer:
    """An answer whose body is an object, or a part of one; a `NativeAnswer`.

    If the object can't be read to its end the framing is broken on purpose.
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

    async def serve(self, request: Request) -> None:
        """Send it."""
        try:
            await self._answer(request)
        finally:
            self._opened.close()

    async def _answer(self, request: Request) -> None:
        length = self._end - self._start
        headers = [(key.lower().encode("latin-1"), encoded(value)) for key, value in self._headers.items()]
        if len(self._first) == length:
            await request.respond(self._status, headers, self._first)
            return
        await request.begin(self._status, [*headers, (b"content-length", b"%d" % length)])
        position, piece = self._start + len(self._first), self._first
        while position < self._end:
            await request.write(piece)
            piece = await self._read(position)
            position += len(piece)
        await request.write(piece)
        await request.end()

    async def _read(self, position: int) -> bytes:
        name = self._opened.entry.name
        try:
            piece = await self._cluster.disk(self._opened.read, position, min(PIECE, self._end - position))
        except OSError as error:
            logger.error("reading %s failed at byte %d: %s", name, position, error.strerror)  # noqa: TRY400
            raise IncompleteAnswerError(f"{name} could not be read to its end") from error
        if not piece:
            logger.error("%s ended at byte %d of %d", name, position, self._end)
            raise IncompleteAnswerError(f"{name} ended early")
        return piece


def custom_headers(custom: Mapping[str, str]) -> dict[str, str]:
    """The header that tells of an object's custom properties, if it has any."""
    return {CUSTOM_METADATA: ", ".join(f"{key}={value}" for key, value in custom.items())} if custom else {}


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
