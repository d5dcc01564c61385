"""An object's result, made from its source by the transform: at once or piece by piece, and again for a retry."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from instore.errors import ClientGoneError, InstoreError
from instore.http.bodies import Body
from instore.protocol.headers import RESULTS_TYPE
from instore.protocol.requests import ObjectRequest
from instore.server.entry import AccessLogEntry
from instore.server.pipes import OutputPipe
from instore.server.sources import Source
from instore.server.transforms import TransformRunner
from instore.server.user_results import TypedBytes, check_takes_results
from instore.system.steps import Waiter


class PendingResult(Protocol):
    """The result of one request.

    Attributes:
        replayable: whether `begin` can be called again after `end`.
        content_type: its own, once it has begun; empty: the class's.
        on_made: called when all of it is there, before it goes anywhere; never of one that is sent while it is made.
    """

    replayable: bool
    content_type: str
    on_made: Callable[[], object] | None

    async def begin(self) -> Body:
        """The result, or its beginning. Raises what the source or the transform raised."""

    async def end(self) -> None:
        """Stop what `begin` has begun."""

    def abandon(self, error: InstoreError) -> None:
        """Nobody waits for the result any more; `error` says why."""


class BufferedResult:
    """A result that is whole before it is sent. It is made once and kept for retries."""

    replayable = True
    content_type = ""
    on_made: Callable[[], object] | None = None

    def __init__(
        self, request: ObjectRequest, source: Source, transforms: TransformRunner, entry: AccessLogEntry
    ) -> None:
        self._request = request
        self._source = source
        self._entry = entry
        self._transforms = transforms
        self._job: Waiter[bytes | TypedBytes] | None = None
        self._given_up: InstoreError | None = None

    async def begin(self) -> Body:
        if self._job is None:
            load = await self._source.load()
            if self._given_up is not None:
                raise self._given_up
            self._job = self._transforms.start(self._request, load, self._entry)
        try:
            result = await self._job
        except asyncio.CancelledError:
            if self._given_up is not None:
                raise self._given_up from None
            raise
        if self.on_made is not None:
            self.on_made()
        if isinstance(result, TypedBytes):
            result, self.content_type = result
        return Body(result)

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

    content_type = ""
    on_made: Callable[[], object] | None = None

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
        self._job = await self._start(self._spool)
        body = await Body.begin(self._spool)
        self._entry.ready = time.perf_counter()
        return body

    async def end(self) -> None:
        self.abandon(ClientGoneError("the request is over"))
        if self._job is not None and self._job.cancel():
            self._transforms.watchdog.check()
        await self._source.close()

    async def _start(self, spool: OutputPipe) -> Waiter[None]:
        return self._transforms.start_stream(self._request, await self._source.stream(), spool, self._entry)

    def abandon(self, error: InstoreError) -> None:
        if self._spool is not None:
            self._spool.abandon(error)


class SeveralResults(StreamedResult):
    """All that `transform_many` makes of an object, in frames."""

    content_type = RESULTS_TYPE

    async def _start(self, spool: OutputPipe) -> Waiter[None]:
        check_takes_results(self._request)
        return self._transforms.start_several(self._request, await self._source.load(), spool, self._entry)
