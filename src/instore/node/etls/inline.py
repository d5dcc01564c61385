"""Single objects through ETLs: reads, whose result is the answer, and copies, whose result is another object."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from starlette.responses import RedirectResponse

from instore.errors import (
    AnswerError,
    ClientGoneError,
    ETLNotFoundError,
    ETLStageError,
    IncompleteAnswerError,
    InstoreError,
    InvalidRequestError,
    Skip,
    TransformFailedError,
    status_of,
)
from instore.etl.communicator import TransformResponse
from instore.http.request import Request
from instore.node.cluster import Cluster, Target
from instore.node.etls.expected_puts import ExpectedPuts
from instore.node.etls.manager import ETL, ETLManager
from instore.node.etls.records import INLINE, ObjectError
from instore.node.jobs.target_transform import (
    RETRIES,
    TargetTransform,
    Transformation,
    TransformObserver,
    etl_error,
    request_for,
    time_limit,
)
from instore.node.request import Answer, NodeRequest, empty
from instore.offline.engine import FIRST_PAUSE, LONGEST_PAUSE, TIMED_OUT, given_up
from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.protocol.etl_spec import Communication
from instore.protocol.requests import pull_target
from instore.store.names import Bucket
from instore.system.backoff import backoff

logger = logging.getLogger("instore")

_NO_SCRIPTS = (
    # A result that is opened in a browser would come from where the page does, and could ask what it can.
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
)


class Inline:
    """Reads and copies through ETLs; the node's `InlineTransforms`."""

    def __init__(self, cluster: Cluster, etls: ETLManager, expected_puts: ExpectedPuts, redirects: bool) -> None:
        self._cluster = cluster
        self._etls = etls
        self._deliveries = expected_puts
        self._redirects = redirects

    async def read(self, request: NodeRequest, bucket: Bucket, name: str) -> Answer:
        """Answer a GET with the object as its ETLs make it: the whole, whatever range is asked for."""
        used = await self._used(request)
        target = self._cluster.owner(bucket, name)
        entry = await self._cluster.disk(target.store.head, bucket, name)
        pod = self._etls.pod(used[0], target)
        args = request.query("etl_args")
        redirects = self._redirects and not request.from_page
        if used[0].spec.communication is Communication.HPULL and len(used) == 1 and redirects:
            return RedirectResponse(pod.url + pull_target(str(bucket.uname(name)), args.strip()), 307)
        what = Transformation(INLINE, used, bucket, bucket, True, args, by_body=request.flag("latest-ver"))
        reading = _InlineRead(self._cluster, self._etls, what, target, name)
        try:
            answer, pieces, first = await reading.begin()
        except InstoreError as error:
            raise self._failed(used, bucket.object(name), error) from error
        used[0].counters.objects += 1
        used[0].counters.in_bytes += entry.size
        return _RelayedBody(self, used, bucket.object(name), answer, pieces, first)

    async def copy(self, request: NodeRequest, bucket: Bucket, name: str, to_bucket: Bucket, to_name: str) -> Answer:
        """Put an object through ETLs into another object."""
        try:
            used = await self._used(request)
        except ETLNotFoundError as error:
            raise ETLStageError(str(error)) from error
        target = self._cluster.owner(bucket, name)
        entry = await self._cluster.disk(target.store.head, bucket, name)
        by_body = request.flag("latest-ver") or request.flag("synchronize")
        what = Transformation(
            INLINE, used, bucket, to_bucket, False, request.query("etl_args"), slots=1, by_body=by_body
        )
        observer = _CopyObserver(self._etls, used)
        item = Item(name, ItemState.TODO, result=to_name, size=entry.size)
        transforms = TargetTransform(what, target, self._etls, self._deliveries, self._cluster, observer)
        try:
            await transforms.run(iter([item]))
        except InstoreError as error:
            raise self._failed(used, bucket.object(name), error) from error
        if transforms.failures:
            raise TransformFailedError(f"{transforms.first_failure} (etl {_title(used)})", transforms.first_code)
        if observer.skip is not None:
            raise self._failed(used, bucket.object(name), observer.skip)
        return empty(204 if what.delivers else 200)

    def broke_off(self, used: Sequence[ETL], name: str, error: InstoreError) -> None:
        """Note that an answer which had begun could not be ended."""
        self._failed(used, name, error)
        logger.warning("etl %s of %s broke off: %s", _title(used), name, error)

    def sent(self, used: Sequence[ETL], size: int) -> None:
        """Count what a read has given."""
        used[-1].counters.out_bytes += size

    def _failed(self, used: Sequence[ETL], name: str, error: InstoreError) -> InstoreError:
        """Keep the error with the ETLs."""
        status = (isinstance(error, AnswerError) and error.status) or _final(status_of(error))
        told = etl_error(str(error))
        for etl in used:
            self._etls.records.add_error(etl.name, INLINE, ObjectError(name, told, status))
        return TransformFailedError(f"{told} (etl {_title(used)}, {name})", status)

    async def _used(self, request: NodeRequest) -> list[ETL]:
        """The ETLs that a request names, all of them running."""
        first, *following = _names(request)
        for name in following:
            try:
                self._etls.get(name)
            except ETLNotFoundError as error:
                raise ETLStageError(f"{error}; it is a stage of the pipeline of etl {first}") from error
        used = await self._etls.running([first, *following])
        if self._cluster.strict and following and used[0].spec.communication is Communication.HPULL:
            raise InvalidRequestError("inline transform pipeline not supported for hpull://")
        return used


class _InlineRead:
    """One object on its way to a client, until its answer has begun."""

    def __init__(self, cluster: Cluster, etls: ETLManager, what: Transformation, target: Target, name: str) -> None:
        self._cluster = cluster
        self._etls = etls
        self._what = what
        self._target = target
        self._name = name

    async def begin(self) -> tuple[TransformResponse, AsyncIterator[bytes], bytes]:
        """Ask, again if the answer breaks off before its first piece."""
        attempt = 0
        limit = time_limit(self._what.etls)
        while True:
            pod = self._etls.pod(self._what.etls[0], self._target)
            try:
                async with asyncio.timeout(limit):
                    ask = request_for(self._what, self._etls, self._target, self._cluster, self._name)
                    answer = await pod.communicator.send(ask)
                    return await _begun(answer)
            except TimeoutError:
                raise AnswerError(given_up(limit), TIMED_OUT) from None
            except IncompleteAnswerError as error:
                if await pod.is_dead():
                    self._etls.note_death(self._what.etls[0], self._target, pod)
                    raise self._what.etls[0].aborted() from error
                if attempt == RETRIES:
                    raise
            await asyncio.sleep(backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE))
            attempt += 1


async def _begun(answer: TransformResponse | None) -> tuple[TransformResponse, AsyncIterator[bytes], bytes]:
    if answer is None:
        raise AnswerError("the server says that the result is delivered, which it was not asked to do")
    pieces = answer.pieces()
    try:
        return answer, pieces, await anext(pieces, b"")
    except BaseException:
        await answer.close()
        raise


class _RelayedBody:
    """An answer that is passed on to a client; an ASGI application. If it breaks off, so does ours."""

    def __init__(
        self,
        inline: Inline,
        used: Sequence[ETL],
        name: str,
        answer: TransformResponse,
        pieces: AsyncIterator[bytes],
        first: bytes,
    ) -> None:
        self._inline = inline
        self._used = used
        self._name = name
        self._answer = answer
        self._pieces = pieces
        self._first = first

    async def serve(self, request: Request) -> None:
        """Send it; to return before the body's end is to break its framing."""
        try:
            await self._send(request)
        except ClientGoneError:
            raise
        except InstoreError as error:
            self._inline.broke_off(self._used, self._name, error)
            raise
        finally:
            await self._answer.close()

    async def _send(self, request: Request) -> None:
        headers = [(b"content-type", self._answer.content_type.encode("latin-1", "replace")), *_NO_SCRIPTS]
        if self._answer.length is not None:
            headers.append((b"content-length", b"%d" % self._answer.length))
        await request.begin(200, headers)
        piece, size = self._first, 0
        while piece:
            size += len(piece)
            await request.write(piece)
            piece = await self._next()
        await request.end()
        self._inline.sent(self._used, size)

    async def _next(self) -> bytes:
        limit = time_limit(self._used)
        try:
            async with asyncio.timeout(limit):
                return await anext(self._pieces, b"")
        except TimeoutError:
            raise AnswerError(f"timeout: nothing came for {limit:g} s", TIMED_OUT) from None


class _CopyObserver(TransformObserver):
    def __init__(self, etls: ETLManager, used: Sequence[ETL]) -> None:
        self._etls = etls
        self._used = used
        self.skip: Skip | None = None  # why there is no copy

    def done(self, target: Target, owner: Target, result: ItemResult) -> None:
        del target, owner
        self._used[0].counters.objects += 1
        self._used[0].counters.in_bytes += result.item.size
        self._used[-1].counters.out_bytes += result.result_bytes or 0

    def skipped(self, name: str, reason: str) -> None:
        del name
        self.skip = Skip(reason)

    def failed(self, error: ObjectError) -> None:
        for etl in self._used:
            self._etls.records.add_error(etl.name, INLINE, error)


def _final(status: int) -> int:
    """The status of a failure that asking again would only repeat: AIStore's client repeats these for minutes."""
    return 422 if status >= 500 or status == 429 else status


def _names(request: NodeRequest) -> list[str]:
    following = [name for name in request.query("etl_pipeline").split(",") if name]
    return [request.query("etl_name"), *following]


def _title(used: Sequence[ETL]) -> str:
    return " >> ".join(etl.name for etl in used)
