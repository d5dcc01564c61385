"""Where an object's bytes come from: the body, a local file, the target, or a URL (docs/protocol.md#requests).

Each source gives its object in two shapes: `load` for a buffered transform, `stream` for a streaming one. None ever
gives a part of an object for the whole: what is shorter than announced, or breaks off, is an error.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from instore.errors import ClientGoneError, InstoreError, InvalidRequestError, TargetAnswerError, TargetError
from instore.http.client import FAILURES, ClientResponse, describe
from instore.http.request import Request
from instore.http.sockets import BodySocket
from instore.protocol.responses import error_text
from instore.server.files import FileReader, FileRules
from instore.server.pipes import InputPipe
from instore.server.readers import BytesReader, Load, ObjectReader, PipeReader

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Source(Protocol):
    """One object's bytes.

    Attributes:
        replayable: whether `stream` can be called again.
        received: bytes read so far, the last time where it was read more than once.
        size: the object's bytes; None: not known, or not yet.
        headers: of the answer that it was fetched by; none where it wasn't, or not yet.
    """

    replayable: bool
    headers: Mapping[str, str]

    @property
    def size(self) -> int | None:
        """The object's bytes."""

    @property
    def received(self) -> int:
        """Bytes read."""

    async def load(self) -> Load:
        """Await what must be awaited for the whole object; what is returned is entered in the transform's thread."""

    async def stream(self) -> Callable[[], ObjectReader]:
        """Begin to read; what is returned is called in the transform's thread and opens the reader."""

    async def close(self) -> None:
        """End what `stream` began."""


class BodySource:
    """The request's own body."""

    replayable = False
    headers = _NO_HEADERS

    def __init__(self, request: Request, length: int | None) -> None:
        self._request = request
        self._length = length
        self._received = 0
        self._is_whole = False
        self._pump: asyncio.Task[None] | None = None
        self._lent: BodySocket | None = None

    @property
    def received(self) -> int:
        """Bytes read."""
        return self._received if self._lent is None else self._lent.received

    @property
    def size(self) -> int | None:
        """As announced; else once it is here."""
        return self._received if self._is_whole else self._length

    async def load(self) -> Load:
        data = await self._request.whole()
        self._received = len(data)
        self._is_whole = True
        if self._received != self._length:  # which may not have been announced
            self._check_length()
        return lambda: data

    async def stream(self) -> Callable[[], ObjectReader]:
        self._lent = await self._request.lend_body()
        if self._lent is not None:
            return functools.partial(PipeReader, self._lent)
        feed = InputPipe()
        self._pump = asyncio.create_task(self._feed(feed))
        return functools.partial(PipeReader, feed)

    async def close(self) -> None:
        if self._lent is not None:
            self._lent.close()
            await asyncio.sleep(0)  # it is returned in this turn
        await _cancel(self._pump)

    def _check_length(self) -> None:
        if self._length is not None and self.received != self._length:
            raise InvalidRequestError(f"the body has {self.received} bytes, {self._length} were announced")

    async def _feed(self, feed: InputPipe) -> None:
        try:
            while piece := await self._request.read():
                self._received += len(piece)
                await feed.put(piece)
            self._check_length()
            feed.finish()
        except InstoreError as error:
            feed.fail(error)
        finally:
            feed.fail(ClientGoneError("the request ended before its body was read"))


class BytesSource:
    """An object that is at hand."""

    replayable = True
    headers = _NO_HEADERS

    def __init__(self, data: bytes) -> None:
        self.received = self.size = len(data)
        self._data = data

    def at_hand(self) -> Load:
        """As `load`, without waiting."""
        return self._whole

    async def load(self) -> Load:
        return self.at_hand()

    async def stream(self) -> Callable[[], ObjectReader]:
        return functools.partial(BytesReader, self._data)

    async def close(self) -> None:
        """Nothing is held."""

    def _whole(self) -> bytes:
        return self._data


class FileSource:
    """A local file."""

    replayable = True
    headers = _NO_HEADERS

    def __init__(self, path: str, rules: FileRules, as_path: bool) -> None:
        self._path = path
        self._rules = rules
        self._as_path = as_path
        self._size = 0
        self._reader: FileReader | None = None

    @property
    def received(self) -> int:
        """Bytes read; none where the transform got the path."""
        return self._size if self._reader is None else self._reader.received

    @property
    def size(self) -> int | None:
        """The file's."""
        try:
            return self._size or os.stat(self._path).st_size
        except (OSError, ValueError):
            return None

    def at_hand(self) -> Load:
        """As `load`, without waiting."""
        return functools.partial(self._rules.path, self._path) if self._as_path else self._read

    async def load(self) -> Load:
        return self.at_hand()

    async def stream(self) -> Callable[[], ObjectReader]:
        return self._open

    async def close(self) -> None:
        """Nothing is held: the reader is closed by whoever opened it."""

    def _read(self) -> bytes:
        data = self._rules.read(self._path)
        self._size = len(data)
        return data

    def _open(self) -> ObjectReader:
        self._reader = self._rules.reader(self._path)
        return self._reader


class RemoteSource:
    """An object that is fetched: from the target, or from a URL."""

    replayable = True

    def __init__(self, name: str, place: str, get: Callable[[], Awaitable[ClientResponse]]) -> None:
        self._name = name
        self._place = place
        self._get = get
        self.received = 0
        self.headers: Mapping[str, str] = _NO_HEADERS
        self._response: ClientResponse | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def size(self) -> int | None:
        """As announced."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdigit() else None

    async def load(self) -> Load:
        response = await self._open()
        try:
            chunks = []
            while chunk := await self._take(response):
                chunks.append(chunk)
        finally:
            await response.close()
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return lambda: data

    async def stream(self) -> Callable[[], ObjectReader]:
        self._response = await self._open()
        feed = InputPipe()
        self._pump = asyncio.create_task(self._feed(feed, self._response))
        return functools.partial(PipeReader, feed)

    async def close(self) -> None:
        await _cancel(self._pump)
        if self._response is not None:
            await self._response.close()

    async def _open(self) -> ClientResponse:
        self.received = 0
        response = await self._get()
        if response.status == 200:
            self.headers = response.headers
            return response
        try:
            reason = error_text(await self._take(response))
        finally:
            await response.close()
        raise TargetAnswerError(
            response.status, f"{self._place} answered {response.status} for {self._name!r}: {reason}"
        )

    async def _take(self, response: ClientResponse) -> bytes:
        try:
            chunk = await response.take()
        except FAILURES as error:
            raise TargetError(f"the answer of {self._place} for {self._name!r} broke off: {describe(error)}") from error
        self.received += len(chunk)
        return chunk

    async def _feed(self, feed: InputPipe, response: ClientResponse) -> None:
        try:
            while chunk := await self._take(response):
                await feed.put(chunk)
            feed.finish()
        except InstoreError as error:
            feed.fail(error)
        finally:
            feed.fail(ClientGoneError("the request ended before the object was read"))


async def _cancel(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
