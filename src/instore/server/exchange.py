"""The one way of every object: *source* -> *transform* -> *delivery*, whichever handler its request came to.

A handler reads an `ObjectRequest`, says where the bytes come from, and gets an `Exchange`: its `begin` gives the
`Response`, its `end` stops whatever still goes on for it.
"""

import asyncio
import functools
import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from instore.errors import (
    ETLDirectPutTransientError,
    InstoreError,
    InvalidRequestError,
    ObjectTimeError,
    OverloadedError,
    Skip,
    TransformError,
    status_of,
)
from instore.http.bodies import Body
from instore.http.client import describe
from instore.protocol.environment import INSTORE_OBJECT_TIME, Environment
from instore.protocol.headers import DEFAULT_MIME_TYPE, RETRY_DIRECT_PUT_TRANSIENT, RETRY_REASON, SKIPPED_OBJECT
from instore.protocol.names import escape_segment
from instore.protocol.requests import ObjectRequest
from instore.server.access_log import AccessLog
from instore.server.contract import Shape, Transform
from instore.server.direct_put import DirectPut, Response
from instore.server.downloads import Downloads, shown
from instore.server.entry import AccessLogEntry
from instore.server.files import FileRules
from instore.server.metrics import ObjectCounters
from instore.server.next_hops import NextHops
from instore.server.outbound import Outbound
from instore.server.readers import Load
from instore.server.results import BufferedResult, PendingResult, SeveralResults, StreamedResult
from instore.server.sources import FileSource, RemoteSource, Source
from instore.server.spans import tracing
from instore.server.transforms import TransformRunner
from instore.server.user_results import TypedBytes
from instore.system.steps import Waiter

if TYPE_CHECKING:
    from prometheus_client import Metric

TEXT = "text/plain; charset=utf-8"


class Service:
    """What all requests of one process share.

    Attributes:
        takes_groups: small objects may come in groups: the class makes one result of each, whole.
        awaits_nothing: of an object that is at hand, nothing but its transform.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        self.environment = Environment.read(os.environ)
        self.counters = ObjectCounters()
        self._tracing = tracing(self.environment, transform.name)
        self.access_log = AccessLog(self.environment, self.counters, self._tracing)
        self._outbound = Outbound(self.environment, check=NextHops(self.environment).check)
        self._downloads = Downloads(self.environment)
        self._rules = FileRules(self.environment.file_roots)
        self._transforms = TransformRunner(transform, self.environment)
        self.watchdog = self._transforms.watchdog
        self._direct_put = DirectPut(self.environment, self._outbound, self._tracing)
        self._streams = transform.shape is Shape.STREAM or bool(self.environment.members)
        self._makes_several = transform.shape is Shape.MANY
        self.takes_groups = not (self._streams or self._makes_several)
        self._is_timed = math.isfinite(self.environment.object_time)
        self.awaits_nothing = self.takes_groups and not self._is_timed

    async def close(self) -> None:
        """Close the connections to others and take no more transforms."""
        await self._outbound.close()
        await self._downloads.close()
        self._transforms.close()
        if self._tracing is not None:
            await self._tracing.close()

    def file(self, request: ObjectRequest) -> FileSource:
        """The local file that `request` names."""
        return FileSource(request.fqn, self._rules, self.environment.direct_fqn)

    def target(self, request: ObjectRequest) -> Source:
        """The target's object that `request` names."""
        if request.path in (".", ".."):
            raise InvalidRequestError(f"{request.path!r} is not an object's name")
        url = f"{self.environment.target_url}/{escape_segment(request.path)}"
        return RemoteSource(request.path, "the target", functools.partial(self._outbound.get, url))

    def url(self, request: ObjectRequest) -> Source:
        """The object at the URL that `request` names."""
        return RemoteSource(request.path, shown(request.url), functools.partial(self._downloads.get, request.url))

    @property
    def is_overloaded(self) -> bool:
        """Whether as many objects as may wait for their turn."""
        return self._transforms.waiting >= self.environment.queue

    def publish(self, body_memory: int | None = None) -> None:
        """Let all workers' metrics have what only this process knows, and the bytes of all bodies in memory."""
        self.counters.publish(self._transforms.waiting, body_memory)

    def metrics(self) -> "Iterable[Metric]":
        """What all workers of the port have counted."""
        from instore.server.families import families  # when first asked for, as `http.exposition` does

        return families(self.counters.pages)

    def exchange(self, entry: AccessLogEntry, request: ObjectRequest, source: Source) -> "Exchange":
        """Prepare what `request` asks for, with the bytes of `source`; `entry` is told how far it came."""
        result: PendingResult
        if self._streams:
            batch = self.environment.direct_put_chunk_size
            result = StreamedResult(request, source, self._transforms, entry, batch)
        elif self._makes_several:
            result = SeveralResults(request, source, self._transforms, entry, self.environment.direct_put_chunk_size)
        else:
            result = BufferedResult(request, source, self._transforms, entry)
        return Exchange(self, entry, request, result, self._direct_put)

    def start(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> Waiter[bytes | TypedBytes]:
        """Begin to transform an object that `load` gives whole, whose result is whole."""
        return self._transforms.start(request, load, entry)

    def time_out(self, result: PendingResult) -> asyncio.TimerHandle | None:
        """Give `result` up when its object has taken as long as one may."""
        if not self._is_timed:
            return None
        seconds = self.environment.object_time
        error = ObjectTimeError(f"the object has no result after {seconds:g} s, {INSTORE_OBJECT_TIME}")
        return asyncio.get_running_loop().call_later(seconds, result.abandon, error)

    def refusal(self, error: BaseException) -> Response:
        """The response that reports `error`: its status, and a sentence without a secret."""
        status, headers = status_of(error), {}
        if isinstance(error, OverloadedError):
            headers = {"Retry-After": "1"}
        if isinstance(error, Skip):
            headers = {SKIPPED_OBJECT: "true"}
        if isinstance(error, ETLDirectPutTransientError) and error.bail_without_local_retry:
            status, headers = 503, {RETRY_REASON: RETRY_DIRECT_PUT_TRANSIENT}
        sentence = str(error) if isinstance(error, InstoreError) else describe(error)
        body = self.environment.redact(sentence).encode(errors="backslashreplace")
        return Response(status, Body(body), TEXT, headers)

    def mime_type(self) -> str:
        """The content type of the results; a shard of results has none of its own."""
        if self._streams and self.environment.members:
            return DEFAULT_MIME_TYPE
        try:
            return self.transform.get_mime_type()
        except Exception as error:
            raise TransformError(f"get_mime_type() failed: {type(error).__name__}: {error}") from error


class Exchange:
    """One object's way through the service.

    Attributes:
        production: its result in the making.
    """

    __slots__ = ("_direct_put", "_entry", "_request", "_response", "_service", "_timer", "result")

    def __init__(
        self,
        service: Service,
        entry: AccessLogEntry,
        request: ObjectRequest,
        result: PendingResult,
        direct_put: DirectPut,
    ) -> None:
        self.result = result
        self._service = service
        self._entry = entry
        self._request = request
        self._direct_put = direct_put
        self._response: Response | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self) -> Response:
        """Transform the object and send it where it goes."""
        self._timer = self._service.time_out(self.result)
        mime_type = self._service.mime_type()
        if self._request.next_url:
            self._response = await self._direct_put.put(self._request, self.result, mime_type, self._entry)
        else:
            body = await self.result.begin()
            self._response = Response(200, body, self.result.content_type or mime_type)
        return self._response

    async def end(self) -> None:
        """Stop what still goes on and release what is held."""
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None and self._response.holds:
            await self._response.close()
        await self.result.end()
