"""An object's result, made from its source by the transform: at once or piece by piece, and again for a retry."""

import asyncio
from typing import Protocol

from instore.errors import ClientGoneError
from instore.http.bodies import Output
from instore.protocol.requests import ObjectRequest
from instore.server.pipes import Spool
from instore.server.sources import Source
from instore.server.transforms import Transforms


class Production(Protocol):
    """The result of one request.

    Attributes:
        replayable: whether `begin` can be called again after `end`.
    """

    replayable: bool

    async def begin(self) -> Output:
        """The result, or its beginning. Raises what the source or the transform raised."""

    async def end(self) -> None:
        """Stop what `begin` has begun."""

    def abandon(self) -> None:
        """Nobody waits for the result any more."""


class Buffered:
    """A result that is whole before it is sent. It is made once and kept for retries."""

    replayable = True

    def __init__(self, request: ObjectRequest, source: Source, transforms: Transforms) -> None:
        self._request = request
        self._source = source
        self._transforms = transforms
        self._job: asyncio.Future[bytes] | None = None
        self._abandoned = False

    async def begin(self) -> Output:
        if self._job is None:
            self._job = self._transforms.start(self._request, await self._source.load())
        try:
            return Output(await self._job)
        except asyncio.CancelledError:
            if self._abandoned:
                raise _gone() from None
            raise

    async def end(self) -> None:
        """Nothing goes on, but perhaps a transform that was given up."""
        if self._job is not None and self._job.cancelled():
            self._transforms.stuck.look()

    def abandon(self) -> None:
        """A transform that waits for its turn is not begun; one that runs can't be stopped, its result is dropped."""
        self._abandoned = True
        if self._job is not None:
            self._job.cancel()


class Streamed:
    """A result that is sent while it is made. A retry reads the source and runs the transform again."""

    def __init__(self, request: ObjectRequest, source: Source, transforms: Transforms, batch: int) -> None:
        self.replayable = source.replayable
        self._request = request
        self._source = source
        self._transforms = transforms
        self._batch = batch
        self._spool: Spool | None = None
        self._job: asyncio.Future[None] | None = None

    async def begin(self) -> Output:
        self._spool = Spool(self._batch)
        self._job = self._transforms.start_stream(self._request, await self._source.stream(), self._spool)
        return await Output.begin(self._spool)

    async def end(self) -> None:
        self.abandon()
        if self._job is not None and self._job.cancel():
            self._transforms.stuck.look()
        await self._source.close()

    def abandon(self) -> None:
        if self._spool is not None:
            self._spool.abandon(_gone())


def _gone() -> ClientGoneError:
    return ClientGoneError("the client left before the result was there")
