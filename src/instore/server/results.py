"""An object's result, made from its source by the transform: at once or piece by piece, and again for a retry."""

import asyncio
import time
from typing import Protocol

from instore.errors import ClientGoneError, InstoreError
from instore.http.bodies import Body
from instore.protocol.requests import ObjectRequest
from instore.server.entry import AccessLogEntry
from instore.server.pipes import OutputPipe
from instore.server.sources import Source
from instore.server.transforms import TransformRunner
from instore.system.steps import Waiter


class Result(Protocol):
    """The result of one request.

    Attributes:
        replayable: whether `begin` can be called again after `end`.
    """

    replayable: bool

    async def begin(self) -> Body:
        """The result, or its beginning. Raises what the source or the transform raised."""

    async def end(self) -> None:
        """Stop what `begin` has begun."""

    def abandon(self, error: InstoreError) -> None:
        """Nobody waits for the result any more; `error` says why."""


class BufferedResult:
    """A result that is whole before it is sent. It is made once and kept for retries."""

    replayable = True

    def __init__(
        self, request: ObjectRequest, source: Source, transforms: TransformRunner, entry: AccessLogEntry
    ) -> None:
        self._request = request
        self._source = source
        self._entry = entry
        self._transforms = transforms
        self._job: Waiter[bytes] | None = None
        self._given_up: InstoreError | None = None

    async def begin(self) -> Body:
        if self._job is None:
            load = await self._source.load()
            if self._given_up is not None:
                raise self._given_up
            self._job = self._transforms.start(self._request, load, self._entry)
        try:
            return Body(await self._job)
        except asyncio.CancelledError:
            if self._given_up is not None:
                raise self._given_up from None
            raise

    async def end(self) -> None:
        """Nothing goes on, but perhaps a transform that was given up."""
        if self._job is not None and self._job.cancelled():
            self._transforms.watchdog.check()

    def abandon(self, error: InstoreError) -> None:
        """A transform that waits for its turn is not begun; one that runs can't be stopped, its result is dropped."""
        self._given_up = error
        if self._job is not None:
            self._job.cancel()


class StreamedResult:
    """A result that is sent while it is made. A retry reads the source and runs the transform again."""

    def __init__(
        self, request: ObjectRequest, source: Source, transforms: TransformRunner, entry: AccessLogEntry, batch: int
    ) -> None:
        self.replayable = source.replayable
        self._request = request
        self._source = source
        self._entry = entry
        self._transforms = transforms
        self._batch = batch
        self._spool: OutputPipe | None = None
        self._job: Waiter[None] | None = None

    async def begin(self) -> Body:
        if self._job is not None:
            self._entry.again()
        self._spool = OutputPipe(self._batch)
        self._job = self._transforms.start_stream(self._request, await self._source.stream(), self._spool, self._entry)
        body = await Body.begin(self._spool)
        self._entry.ready = time.perf_counter()
        return body

    async def end(self) -> None:
        self.abandon(ClientGoneError("the request is over"))
        if self._job is not None and self._job.cancel():
            self._transforms.watchdog.check()
        await self._source.close()

    def abandon(self, error: InstoreError) -> None:
        if self._spool is not None:
            self._spool.abandon(error)
