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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from instore.errors import ETLDirectPutTransientError, InstoreError, InvalidPipelineError, SourceError, TransformError
from instore.protocol.environment import Environment
from instore.protocol.names import escape_path
from instore.protocol.requests import ObjectRequest
from instore.protocol.responses import with_frames
from instore.server.contract import Transform, check_concurrency
from instore.server.entry import AccessLogEntry
from instore.server.pipes import OutputPipe
from instore.server.prints import frames_of, printing, printing_object
from instore.server.readers import ForwardOnlyError, Load, ObjectReader, ThreadedReader
from instore.server.thread_pool import ThreadPool
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
        server: the user's object.
        settings: the process's.

    Attributes:
        watchdog: checks the pool after each transform that was given up.

    Raises:
        ConfigurationError: the object's `concurrency` is not a whole number of at least 1.
    """

    def __init__(self, server: Transform, settings: Environment) -> None:
        check_concurrency(type(server).__name__, server.concurrency)
        self._server = server
        self._pool = ThreadPool(server.concurrency, "transform")
        self.watchdog = Watchdog(self._pool, min(settings.transform_timeout, 2 * settings.object_time))
        self._frames = settings.frames
        self._path = _raw_path if server.wants_raw_path else _decoded_path
        self._asynchronous = inspect.isasyncgenfunction(server.transform_stream)
        self._user_loop: _UserLoop | None = None
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Objects that wait for a thread."""
        return self._pool.waiting

    def start(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> Waiter[bytes]:
        """Begin to transform one object that `load`, called in the same thread, gives whole."""
        entry.asked = perf_counter()
        return self._pool.submit(self._run, request, load, entry)

    def start_stream(
        self, request: ObjectRequest, open_reader: Callable[[], ObjectReader], spool: OutputPipe, entry: AccessLogEntry
    ) -> Waiter[None]:
        """Begin to transform one object piece by piece into `spool`, which gets every failure too."""
        entry.asked = perf_counter()
        return self._pool.submit(self._stream, request, open_reader, spool, entry)

    def close(self) -> None:
        """Take no more transforms; those that run are left to end."""
        self._pool.close()
        if self._user_loop is not None:
            self._user_loop.stop()

    def _run(self, request: ObjectRequest, load: Load, entry: AccessLogEntry) -> bytes:
        entry.begun = perf_counter()
        with self._named(request), _entered(load, request) as data:
            entry.loaded = perf_counter()
            try:
                result = self._server.transform(data, self._path(request), request.etl_args)
                if type(result) is not bytes:
                    if inspect.isawaitable(result):
                        result = self._loop.run(result)
                    result = self._as_bytes(result, "returned")
            except BaseException as error:
                raise self._failure(error, request) from error
            entry.made = perf_counter()
            return result

    def _stream(
        self, request: ObjectRequest, open_reader: Callable[[], ObjectReader], spool: OutputPipe, entry: AccessLogEntry
    ) -> None:
        entry.begun = perf_counter()
        try:
            reader = open_reader()
        except BaseException as error:
            spool.fail(self._failure(error, request))
            return
        entry.loaded = perf_counter()
        with self._named(request):
            self._stream_from(reader, request, spool, entry)

    def _stream_from(
        self, reader: ObjectReader, request: ObjectRequest, spool: OutputPipe, entry: AccessLogEntry
    ) -> None:
        try:
            for piece in self._pieces(reader, request):
                spool.put(self._as_bytes(piece, "yielded"))
            if reader.failure is not None:  # the transform took the error for an end
                raise reader.failure  # noqa: TRY301
            entry.made = perf_counter()
            spool.finish()
        except BaseException as error:
            spool.fail(reader.failure or self._failure(error, request))
        finally:
            reader.close()

    def _failure(self, error: BaseException, request: ObjectRequest) -> InstoreError:
        failure = _translate(error, request)
        if self._frames and isinstance(failure, TransformError):
            return TransformError(with_frames(str(failure), frames_of(error)))
        return failure

    def _pieces(self, reader: ObjectReader, request: ObjectRequest) -> Iterator[Any]:
        source: Any = ThreadedReader(reader, self._loop.executor) if self._asynchronous else reader
        pieces = self._server.transform_stream(source, self._path(request), request.etl_args)
        if isinstance(pieces, AsyncIterator):
            pieces = self._loop.iterate(pieces)
        try:
            yield from pieces
        finally:
            if (close := getattr(pieces, "close", None)) is not None:
                close()

    def _named(self, request: ObjectRequest) -> contextlib.AbstractContextManager[None]:
        """What is printed meanwhile is of this object."""
        return printing(request.path) if self._frames else _UNNAMED

    def _as_bytes(self, value: Any, verb: str) -> bytes:
        if type(value) is bytes:
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, str) and self._server.encodes_text:
            return value.encode()
        raise TypeError(f"the transform {verb} {type(value).__name__}, not bytes")

    @property
    def _loop(self) -> "_UserLoop":
        with self._lock:
            if self._user_loop is None:
                self._user_loop = _UserLoop(self._server.concurrency)
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


@contextlib.contextmanager
def _entered(load: Load, request: ObjectRequest) -> Iterator[bytes | str]:
    """What `load` gives; whatever keeps it from that is the object's error."""
    try:
        loading = load()
        data = loading.__enter__()
    except InstoreError:
        raise
    except MemoryError as error:
        raise SourceError(
            f"{request.path!r} does not fit into memory; write transform_stream, which reads it piece by piece"
        ) from error
    except BaseException as error:
        raise SourceError(f"{request.path!r} could not be read: {say(error)}") from error
    with contextlib.ExitStack() as stack:
        stack.push(loading)
        yield data


def _decoded_path(request: ObjectRequest) -> str:
    return request.path


def _raw_path(request: ObjectRequest) -> str:
    return request.raw_path or f"/{escape_path(request.path)}"


def _translate(error: BaseException, request: ObjectRequest) -> InstoreError:
    """The error that reports what user code raised, whatever that does when it is looked at."""
    try:
        return _translated(error, request)
    except Exception:
        return TransformError(f"the transform of {request.path!r} failed: {say(error)}")


def _translated(error: BaseException, request: ObjectRequest) -> InstoreError:
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
    return TransformError(f"the transform of {request.path!r} failed: {reason}")


def _forward_only(error: BaseException | None) -> ForwardOnlyError | None:
    """What the reader refused, if that is behind an error."""
    while error is not None and not isinstance(error, ForwardOnlyError):
        error = error.__cause__ or error.__context__
    return error
