"""Running the user's code: off the event loop, as many at once as the class says, buffered and streamed alike.

The pool of threads *is* the limit: it has `concurrency` threads, a transform holds one from its first byte to its last,
and who finds all of them busy waits in the pool's queue, first come, first served. Asynchronous transforms run on one
event loop of their own, beside the server's, and a thread of the pool stands for each, so that the limit, the queue
and everything below this module are the same for both.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

from instore.errors import (
    ArgumentsError,
    ETLDirectPutTransientError,
    InstoreError,
    InvalidPipelineError,
    ResultCarriedError,
    Skip,
    SourceError,
    TransformError,
)
from instore.protocol.environment import Environment
from instore.protocol.names import escape_path
from instore.protocol.requests import ObjectRequest
from instore.protocol.responses import split_frames, with_frames
from instore.protocol.result_frames import END
from instore.server.batches import Batches, BatchMember, Outcome
from instore.server.contract import Shape, Transform
from instore.server.current_object import NO_OBJECT, UNDER_WAY
from instore.server.entry import AccessLogEntry
from instore.server.members import Members
from instore.server.pipes import OutputPipe
from instore.server.prints import frames_of, printing, printing_object
from instore.server.readers import ForwardOnlyError, Load, ObjectReader, Readable, ThreadedReader, spooled
from instore.server.thread_pool import ThreadPool
from instore.server.user_results import Result, TypedBytes, as_answered, checked_results, frame_of
from instore.server.watchdog import Watchdog
from instore.system.printable import say
from instore.system.steps import Waiter

logger = logging.getLogger("instore")

_BATCH_BYTES = 1 << 18
_BATCH_SECONDS = 0.05
_UNNAMED = contextlib.nullcontext()


class TransformRunner:
    """The user's transform and the threads it runs in.

    Args:
        transform: the user's.
        settings: the process's.

    Attributes:
        watchdog: checks the pool after each transform that was given up.

    Raises:
        ConfigurationError: the settings' pattern for members is none.
    """

    def __init__(self, transform: Transform, settings: Environment) -> None:
        self._transform = transform
        is_asynchronous = inspect.iscoroutinefunction(transform.method)
        self._pool = ThreadPool(
            transform.concurrency,
            "transform",
            leads=transform.shape in (Shape.WHOLE, Shape.BATCH) and not is_asynchronous and not settings.members,
            objects=transform.max_batch_size if transform.shape is Shape.BATCH else 1,
        )
        self.watchdog = Watchdog(self._pool, min(settings.transform_timeout, 2 * settings.object_time))
        self._frames = settings.frames
        self._members = Members(settings, transform) if settings.members else None
        self._path = _raw_path if transform.wants_raw_path else _decoded_path
        self._asynchronous = inspect.isasyncgenfunction(transform.method)
        self._batches = (
            Batches(self._pool, transform.max_batch_size, transform.batch_timeout, self._run_batch)
            if transform.shape is Shape.BATCH
            else None
        )
        self._user_loop: _UserLoop | None = None
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Objects that wait for a thread."""
        return self._pool.waiting if self._batches is None else self._batches.waiting

    def start(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> Waiter[bytes | TypedBytes]:
        """Begin to transform one object that `load`, called in the same thread, gives whole."""
        entry.asked = perf_counter()
        if self._batches is not None:
            return self._batches.submit(request, load, entry)
        return self._pool.submit(self._run_named if self._frames else self._run, request, load, entry)

    def start_stream(
        self, request: ObjectRequest, open_reader: Callable[[], ObjectReader], spool: OutputPipe, entry: AccessLogEntry
    ) -> Waiter[None]:
        """Begin to transform one object piece by piece into `spool`, which gets every failure too."""
        entry.asked = perf_counter()
        return self._pool.submit(self._stream, request, open_reader, spool, entry)

    def start_several(
        self, request: ObjectRequest, load: Load, spool: OutputPipe, entry: AccessLogEntry
    ) -> Waiter[None]:
        """Begin to make several results of an object that `load` gives whole, in frames into `spool`."""
        entry.asked = perf_counter()
        return self._pool.submit(self._several, request, load, spool, entry)

    def close(self) -> None:
        """Take no more transforms; those that run are left to end."""
        self._pool.close()
        if self._user_loop is not None:
            self._user_loop.stop()

    def _run_named(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> bytes | TypedBytes:
        with self._named(request):
            return self._run(request, load, entry)

    def _run(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> bytes | TypedBytes:
        entry.begun = perf_counter()
        with _Loading(load, request) as data:
            entry.loaded = perf_counter()
            UNDER_WAY.set(entry)
            try:
                made = self.whole(data, self._path(request), request.etl_args)
                result = made if type(made) is bytes else self._answered(made, request)
            except BaseException as error:
                raise self.failure(error, request.path) from error
            finally:
                UNDER_WAY.set(NO_OBJECT)
            entry.made = perf_counter()
            return result

    def whole(self, data: bytes | str, path: str, etl_args: str) -> bytes | Result:
        """What the buffered transform makes of an object; raises what it raises."""
        args = self._transform.decode_args(etl_args)
        if self._batches is not None:
            return self._alone(data, path, args)
        result = self._transform.method(data, path, args)
        if type(result) is bytes:
            return result
        return self._as_result(self._awaited(result))

    def several(self, data: bytes | str, path: str, etl_args: str) -> Iterator[Result]:
        """The results that the transform makes of an object; raises what it raises."""
        made = self._awaited(self._transform.method(data, path, self._transform.decode_args(etl_args)))
        results = self._loop.iterate(made) if isinstance(made, AsyncIterator) else made
        if not isinstance(results, Iterable) or isinstance(results, bytes | str):
            raise TypeError(
                f"transform_many returned {type(made).__name__}; it takes a generator of Results, or a list"
            )
        try:
            yield from checked_results(results)
        finally:
            if (close := getattr(results, "close", None)) is not None:
                close()

    def data_of(self, result: Result) -> bytes:
        """A result's bytes."""
        return self._as_bytes(result.data, "gave a Result")

    def _answered(self, result: bytes | Result, request: ObjectRequest) -> bytes | TypedBytes:
        if not isinstance(result, Result):
            return result
        return as_answered(result, self.data_of(result), self._transform.get_mime_type(), request)

    def _several(self, request: ObjectRequest, load: Load, spool: OutputPipe, entry: AccessLogEntry) -> None:
        entry.begun = perf_counter()
        UNDER_WAY.set(entry)
        try:
            with self._named(request), _Loading(load, request) as data:
                entry.loaded = perf_counter()
                mime_type = self._transform.get_mime_type()
                for result in self.several(data, self._path(request), request.etl_args):
                    spool.put(frame_of(result, self.data_of(result), mime_type, is_only=False))
                entry.made = perf_counter()
                spool.put(END)
                spool.finish()
        except BaseException as error:
            spool.fail(self.failure(error, request.path))
        finally:
            UNDER_WAY.set(NO_OBJECT)

    def _awaited(self, result: Any) -> Any:
        """What a method that may be asynchronous has returned."""
        return self._loop.run(result) if inspect.isawaitable(result) else result

    def _alone(self, data: bytes | str, path: str, args: Any) -> bytes | Result:
        """The result of an object that is a batch of its own."""
        (result,) = self._awaited(self._transform.method([data], [path], args))
        if isinstance(result, BaseException):
            raise result
        return self._as_result(result)

    def _run_batch(self, members: list[BatchMember]) -> list[Outcome]:
        """One outcome for each object of a batch."""
        failed: dict[BatchMember, Outcome] = {}
        loaded: list[tuple[BatchMember, bytes | str]] = []
        with contextlib.ExitStack() as stack:
            loaded_at = perf_counter()
            for member in members:
                entry = member.entry
                entry.begun = loaded_at
                loading = _Loading(member.load, member.request)
                try:
                    loaded.append((member, loading.__enter__()))
                except InstoreError as error:
                    failed[member] = error
                    continue
                if loading.is_open:
                    stack.push(loading)
                entry.loaded = loaded_at = perf_counter()
            made = self._transform_batch(loaded)
            ended = perf_counter()
            for member, _ in loaded:
                member.entry.made = ended
        others = iter(made)
        return [failed[member] if member in failed else next(others) for member in members] if failed else made

    def _transform_batch(self, loaded: list[tuple[BatchMember, bytes | str]]) -> list[Outcome]:
        """One outcome for each object; where the call raises, each is tried alone."""
        requests = [member.request for member, _ in loaded]
        if not requests:
            return []
        others = f" and {len(loaded) - 1} more" if len(loaded) > 1 else ""
        UNDER_WAY.set([member.entry for member, _ in loaded])
        with printing(requests[0].path + others) if self._frames else _UNNAMED:
            try:
                args = self._transform.decode_args(requests[0].etl_args)
                paths = [self._path(request) for request in requests]
                results = self._awaited(self._transform.method([data for _, data in loaded], paths, args))
            except BaseException as error:
                if len(loaded) == 1 or isinstance(error, ArgumentsError):
                    return [self.failure(error, request.path) for request in requests]
            else:
                return self._outcomes(results, requests)
            finally:
                UNDER_WAY.set(NO_OBJECT)
        return [outcome for one in loaded for outcome in self._transform_batch([one])]

    def _outcomes(self, results: Any, requests: list[ObjectRequest]) -> list[Outcome]:
        """What `transform_batch` returned, one by one."""
        if not isinstance(results, list | tuple) or len(results) != len(requests):
            what = f"{len(results)} results" if isinstance(results, list | tuple) else type(results).__name__
            sentence = f"transform_batch returned {what} for {len(requests)} objects; it takes a list with one for each"
            return [TransformError(sentence) for _ in requests]
        return [
            result if type(result) is bytes else self._outcome(result, request)
            for result, request in zip(results, requests, strict=True)
        ]

    def _outcome(self, result: Any, request: ObjectRequest) -> Outcome:
        if isinstance(result, BaseException):
            return self.failure(result, request.path)
        try:
            return self._answered(self._as_result(result), request)
        except (TypeError, ResultCarriedError) as error:
            return self.failure(error, request.path)

    def _stream(
        self, request: ObjectRequest, open_reader: Callable[[], ObjectReader], spool: OutputPipe, entry: AccessLogEntry
    ) -> None:
        entry.begun = perf_counter()
        try:
            reader = open_reader()
        except BaseException as error:
            spool.fail(self.failure(error, request.path))
            return
        entry.loaded = perf_counter()
        UNDER_WAY.set(entry)
        with self._named(request):
            self._stream_from(reader, request, spool, entry)
        UNDER_WAY.set(NO_OBJECT)

    def _stream_from(
        self, reader: ObjectReader, request: ObjectRequest, spool: OutputPipe, entry: AccessLogEntry
    ) -> None:
        piece = None
        try:
            path = self._path(request)
            make = self.pieces if self._members is None else partial(self._members.pieces, self, request.path)
            for piece in make(reader, path, request.etl_args):
                spool.put(piece)
            if reader.failure is not None:  # the transform took the error for an end
                raise reader.failure  # noqa: TRY301
            entry.made = perf_counter()
            spool.finish()
        except BaseException as error:
            failure = self.failure(error, request.path)
            if isinstance(failure, Skip) and piece is not None:
                failure = _skipped_too_late(failure)
            spool.fail(reader.failure or failure)
        finally:
            reader.close()

    def failure(self, error: BaseException, name: str) -> InstoreError:
        """The error that reports what the user's code raised about the object `name`."""
        failure = _translate(error, name)
        has_frames = bool(split_frames(str(failure))[1])  # a member's
        if self._frames and isinstance(failure, TransformError) and not has_frames:
            return TransformError(with_frames(str(failure), frames_of(error)))
        return failure

    def pieces(self, reader: Readable, path: str, etl_args: str) -> Iterator[bytes]:
        """What the streaming transform makes of an object; raises what it raises."""
        args = self._transform.decode_args(etl_args)
        if self._transform.seekable:
            with spooled(reader) as whole:
                yield from self._pieces(whole, path, args)
        else:
            yield from self._pieces(reader, path, args)

    def _pieces(self, reader: Readable, path: str, args: Any) -> Iterator[bytes]:
        source: Any = ThreadedReader(reader, self._loop.executor) if self._asynchronous else reader
        pieces = self._transform.method(source, path, args)
        if isinstance(pieces, AsyncIterator):
            pieces = self._loop.iterate(pieces)
        try:
            for piece in pieces:
                yield self._as_bytes(piece, "yielded")
        finally:
            if (close := getattr(pieces, "close", None)) is not None:
                close()

    def _named(self, request: ObjectRequest) -> contextlib.AbstractContextManager[None]:
        """What is printed meanwhile is of this object."""
        return self.named(request.path)

    def named(self, name: str) -> contextlib.AbstractContextManager[None]:
        """What is printed meanwhile is of that object, or member."""
        return printing(name) if self._frames else _UNNAMED

    def _as_result(self, value: Any) -> bytes | Result:
        return value if isinstance(value, Result) else self._as_bytes(value, "returned")

    def _as_bytes(self, value: Any, verb: str) -> bytes:
        if type(value) is bytes:
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, str) and self._transform.encodes_text:
            return value.encode()
        if isinstance(value, Result):
            raise TypeError(
                "transform_stream yielded a Result; it takes pieces of bytes: return a Result from transform, or yield "
                "several from transform_many"
            )
        raise TypeError(f"the transform {verb} {type(value).__name__}, not bytes")

    @property
    def _loop(self) -> "_UserLoop":
        with self._lock:
            if self._user_loop is None:
                self._user_loop = _UserLoop(self._transform.concurrency)
            return self._user_loop


class _UserLoop:
    """The event loop of asynchronous transforms, in a thread of its own."""

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.new_event_loop()
        self.executor = ThreadPoolExecutor(concurrency, thread_name_prefix="reader")
        self._stopped = False
        threading.Thread(target=self._run_forever, name="transform-loop", daemon=True).start()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run `awaitable` to its end; from another thread."""
        result, error = asyncio.run_coroutine_threadsafe(_await(awaitable, printing_object()), self._loop).result()
        if error is not None:
            raise error
        return result

    def _run_forever(self) -> None:
        """Run the loop until `stop`, whoever else stops it: it is that of all objects."""
        while not self._stopped:
            try:
                self._loop.run_forever()
            except BaseException:  # what `sys.exit()` in a task of a transform's own raises
                logger.exception("a task of a transform ended the event loop, which goes on")

    def iterate(self, pieces: AsyncIterator[Any]) -> Iterator[Any]:
        """The pieces of an asynchronous iterator; from another thread."""
        try:
            while batch := self.run(_batch(pieces)):
                yield from batch
        finally:
            if (close := getattr(pieces, "aclose", None)) is not None:
                self.run(close())

    def stop(self) -> None:
        """Stop the loop; what runs on it is dropped."""
        self._stopped = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.executor.shutdown(wait=False, cancel_futures=True)


async def _await(awaitable: Awaitable[Any], name: str) -> tuple[Any, BaseException | None]:
    """The result, or what was raised in its place: `sys.exit()` would end the loop, too."""
    try:
        with printing(name) if name else _UNNAMED:
            return await awaitable, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


async def _batch(pieces: AsyncIterator[Any]) -> list[Any]:
    """The next pieces, as many as come within a moment, so that a small piece costs no change of threads."""
    batch: list[Any] = []
    size, until = 0, time.monotonic() + _BATCH_SECONDS
    async for piece in pieces:
        batch.append(piece)
        size += len(piece) if isinstance(piece, bytes | bytearray | memoryview) else _BATCH_BYTES
        if size >= _BATCH_BYTES or time.monotonic() >= until:
            break
    return batch


class _Loading:
    """A context with what `load` gives; whatever keeps it from that is the object's error."""

    __slots__ = ("_load", "_loading", "_request")

    def __init__(self, load: Load, request: ObjectRequest) -> None:
        self._load = load
        self._request = request
        self._loading: contextlib.AbstractContextManager[str] | None = None

    def __enter__(self) -> bytes | str:
        try:
            loading = self._load()
            if isinstance(loading, bytes):
                return loading
            self._loading = loading
            return loading.__enter__()
        except InstoreError:
            raise
        except MemoryError as error:
            name = self._request.path
            raise SourceError(
                f"{name!r} does not fit into memory; write transform_stream, which reads it piece by piece"
            ) from error
        except BaseException as error:
            raise SourceError(f"{self._request.path!r} could not be read: {say(error)}") from error

    @property
    def is_open(self) -> bool:
        """Whether there is anything to exit."""
        return self._loading is not None

    def __exit__(self, *raised: Any) -> bool | None:
        return None if self._loading is None else self._loading.__exit__(*raised)


def _skipped_too_late(error: Skip) -> TransformError:
    return TransformError(f"Skip was raised behind a piece of the result; raise it before the first piece ({error})")


def _decoded_path(request: ObjectRequest) -> str:
    return request.path


def _raw_path(request: ObjectRequest) -> str:
    return request.raw_path or f"/{escape_path(request.path)}"


def _translate(error: BaseException, name: str) -> InstoreError:
    """The error that reports what user code raised, whatever that does when it is looked at."""
    try:
        return _translated(error, name)
    except Exception:
        return TransformError(f"the transform of {name!r} failed: {say(error)}")


def _translated(error: BaseException, name: str) -> InstoreError:
    """Errors of AIStore's SDK are known by their names."""
    if isinstance(error, InstoreError):
        return error
    if (bail := getattr(error, "bail_without_local_retry", None)) is not None:
        cause = getattr(error, "cause", error)
        return ETLDirectPutTransientError(str(getattr(error, "url", "")), cause, bool(bail))
    if type(error).__name__ == InvalidPipelineError.__name__:
        return InvalidPipelineError(say(error))
    reason = say(error)
    if (limit := _forward_only(error)) is not None and str(limit) not in reason:
        reason += f" ({limit})"  # a library says of it no more than that the data are bad
    return TransformError(f"the transform of {name!r} failed: {reason}")


def _forward_only(error: BaseException | None) -> ForwardOnlyError | None:
    """What the reader refused, if that is behind an error."""
    while error is not None and not isinstance(error, ForwardOnlyError):
        error = error.__cause__ or error.__context__
    return error
