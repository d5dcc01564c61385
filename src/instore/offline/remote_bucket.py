"""A bucket of a store elsewhere, a node or a cluster, through AIStore's official client: list, read, write.

The client is synchronous and an optional package. Its calls run in a few threads of our own; its errors become
`RemoteStoreError`, in one sentence. Its own way of trying again takes minutes and prints tracebacks; ours takes two
seconds or so.
"""

import contextlib
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from email.utils import parsedate_to_datetime
from threading import Event
from typing import IO, Any, TypeVar
from urllib.parse import quote

from instore.errors import ConfigurationError, InstoreError, InvalidRequestError, RemoteStoreError
from instore.etl.communicator import PIECE
from instore.offline.lookup import ListedObject
from instore.protocol.environment import AIS_AUTHN_TOKEN, AIS_ENDPOINT
from instore.protocol.headers import CUSTOM_METADATA
from instore.store.names import Bucket
from instore.system.backoff import backoff
from instore.system.printable import printable
from instore.system.threads import in_thread

SCHEME = "ais://"
_EXAMPLE = "http://localhost:51080"

Result = TypeVar("Result")

_THREADS = 16
_TRIES = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0  # seconds between tries
_PASSING = (429, 502, 503, 504)  # statuses that may pass
_OF_US = (401, 429)  # statuses that another object's request would get, too, as well as all from 500

_GIVEN_UP: ContextVar[Event] = ContextVar("_GIVEN_UP", default=Event())  # noqa: B039  # the default's is never set
"""Set when nobody waits any more for what the thread does."""


class RemoteBucket:
    """A bucket, and the names in it that start with a prefix.

    Args:
        url: `ais://bucket` or `ais://bucket/prefix`.

    Attributes:
        name: the bucket's.
        prefix: what stands after the bucket's slash; may be empty.

    Raises:
        ConfigurationError: a malformed URL, no client installed, or no `AIS_ENDPOINT`.
    """

    def __init__(self, url: str) -> None:
        self.name, _, self.prefix = url.removeprefix(SCHEME).partition("/")
        try:
            Bucket(self.name)
        except InvalidRequestError as error:
            raise ConfigurationError(f"{printable(url)} is not a valid bucket URL: {error}") from error
        self._sdk = _Sdk(url)
        self._bucket = self._sdk.client.bucket(self.name)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="bucket")

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}"

    @property
    def where(self) -> str:
        """The store, for a person."""
        return shown(self._sdk.endpoint)

    def exists(self) -> bool:
        """Whether there is such a bucket; a blocking call."""
        try:
            with self._sdk.errors(f"{self} can't be looked at"):
                self._bucket.head()
        except RemoteStoreError as error:
            if _status(error.__cause__) == 404:
                return False
            raise
        return True

    def make(self) -> None:
        """Make the bucket unless it is there; a blocking call."""
        if not self.exists():
            with self._sdk.errors(f"{self} can't be made"):
                self._bucket.create(exist_ok=True)

    def names(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        """The objects whose names start with `prefix` and are greater than `after`.

        They come a page at a time; it blocks.
        """
        with self._sdk.errors(f"{self} can't be listed"):
            for entry in self._bucket.list_objects_iter(prefix=prefix, props="name,size", start_after=after):
                yield ListedObject(entry.name, entry.size)

    def open(self, name: str) -> "RemoteObject":
        """The object `name`, to be read from its start; asks for it with the first piece."""
        return RemoteObject(self, name)

    def content(self, name: str) -> bytes:
        """An object's bytes; a blocking call."""
        with self._sdk.errors(f"{self}/{name} could not be read"):
            data: bytes = self._bucket.object(name).get_reader().read_all()
            return data

    async def keep(self, name: str, data: bytes) -> None:
        """Store an object that is small."""
        await self.in_thread(self.put, name, data)

    async def delete(self, name: str) -> None:
        """Remove an object; one that isn't there is none the less."""
        await self.in_thread(self._delete, name)

    def _delete(self, name: str) -> None:
        try:
            with self._sdk.errors(f"{self}/{name} could not be removed"):
                self._bucket.object(name).delete()
        except RemoteStoreError as error:
            if _status(error.__cause__) != 404:
                raise

    def describe(self, name: str, metadata: Mapping[str, str]) -> None:
        """Give an object custom properties; a blocking call."""
        with self._sdk.errors(f"{self}/{name} could not be given its metadata"):
            self._bucket.object(name).get_writer().set_custom_props(dict(metadata))

    def described(self, name: str) -> tuple[Mapping[str, str], int]:
        """An object's custom properties, and when it was stored, in nanoseconds of Unix time; a blocking call.

        Of one that has just gone nothing is known; nor when one was stored, where the store doesn't tell.
        """
        try:
            with self._sdk.errors(f"{self}/{name} could not be looked at"):
                found = self._bucket.object(name).head("custom,last-modified")
        except RemoteStoreError as error:
            if _status(error.__cause__) == 404:
                return {}, 0
            raise
        stored = found.last_modified
        return found.custom_metadata, int(parsedate_to_datetime(stored).timestamp()) * 10**9 if stored else 0

    def in_threads(self, function: Callable[[str], Result], names: Sequence[str]) -> list[Result]:
        """What a blocking call gives for each name, several at once."""
        return list(self._pool.map(function, names))

    def put(self, name: str, content: bytes | IO[bytes], custom: tuple[str, str] | None = None) -> int:
        """Store an object, with a custom property if there is one, whole or not at all; a blocking call."""
        what = f"{self}/{name} could not be stored"
        with self._sdk.errors(what), contextlib.ExitStack() as opened:
            if isinstance(content, bytes):
                size = len(content)
                data: bytes | IO[bytes] = content
            else:
                content.seek(0)  # writes what is buffered; and where `/dev/fd` shares the position, it begins there
                size = os.fstat(content.fileno()).st_size
                data = opened.enter_context(open(f"/dev/fd/{content.fileno()}", "rb"))
            answer = self._bucket.client.request(  # the client's own writer sends no headers
                "PUT",
                path=f"objects/{self.name}/{quote(name)}",
                params=self._bucket.object(name).query_params,
                data=data,
                headers={CUSTOM_METADATA: "=".join(custom)} if custom else {},
            )
        asked = answer.request  # the last one: what stands before a store may redirect a PUT so that it becomes a GET
        if asked.method != "PUT" or int(asked.headers.get("Content-Length", -1)) != size:
            raise RemoteStoreError(
                f"{what}: {shown(asked.url)} answered {answer.status_code} to a {asked.method}, "
                f"not to a PUT of {size} bytes; set {AIS_ENDPOINT} to the store itself"
            )
        return size

    async def in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run a blocking call in one of the bucket's threads; see `in_thread`. Who is cancelled ends its tries, too."""
        given_up = Event()
        context = copy_context()
        context.run(_GIVEN_UP.set, given_up)
        return await in_thread(self._pool, context.run, function, *arguments, on_cancel=given_up.set)

    def _get(self, name: str) -> Any:
        """The body of the answer to a GET, as urllib3 has it."""
        with self._sdk.errors(f"{self}/{name} could not be read"):
            return self._bucket.object(name).get_reader().raw()

    def _read(self, name: str, raw: Any) -> bytes:
        with self._sdk.errors(f"{self}/{name} broke off"):
            piece: bytes = raw.read(PIECE)
            return piece


class RemoteObject:
    """An object's bytes, as a request's body. Its connection is given back with the stream's last reference.

    Attributes:
        info: what a transform may ask of it, once its first piece has come.
    """

    def __init__(self, bucket: RemoteBucket, name: str) -> None:
        self.drained = False
        self.info: Mapping[str, object] = {}
        self._bucket = bucket
        self._name = name
        self._raw: Any = None
        self._announced = 0
        self._came = 0

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        return b"" if self.drained else await self._bucket.in_thread(self._take)

    def _take(self) -> bytes:
        if self._raw is None:
            self._raw = self._bucket._get(self._name)
            weakref.finalize(self, self._raw.close)
            self._announced = int(self._raw.headers.get("Content-Length", -1))
            self.info = {"size": self._announced} if self._announced >= 0 else {}
        piece = self._bucket._read(self._name, self._raw)
        self._came += len(piece)
        self.drained = not piece or self._came == self._announced
        if not piece and self._announced not in (-1, self._came):
            raise RemoteStoreError(
                f"{self._bucket}/{self._name} ended after {self._came} of its {self._announced} bytes"
            )
        return piece


class _Sdk:
    """The official client, imported when it is needed."""

    def __init__(self, url: str) -> None:
        try:
            import msgspec
            import pydantic
            import requests
            import tenacity
            import urllib3
            from aistore.sdk import Client
            from aistore.sdk.errors import APIRequestError, ErrGETConflict
            from aistore.sdk.retry_config import RetryConfig
        except ImportError as error:
            raise ConfigurationError(
                f"{printable(url)} needs AIStore's client ({error}); run: pip install 'instore[ais]'"
            ) from error
        self.endpoint = os.environ.get(AIS_ENDPOINT, "")
        if not self.endpoint.startswith(("http://", "https://")):
            is_now = f" (now {shown(self.endpoint)})" if self.endpoint else ""
            raise ConfigurationError(
                f"{printable(url)} needs the store's address: set {AIS_ENDPOINT}{is_now} as in "
                f"{AIS_ENDPOINT}={_EXAMPLE}"
            )
        self._failures = (requests.RequestException, urllib3.exceptions.HTTPError, APIRequestError)
        self._unparsable = (ValueError, msgspec.MsgspecError, pydantic.PydanticUserError)
        passing = (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            ErrGETConflict,
        )
        again = RetryConfig(
            http_retry=urllib3.Retry(
                total=_TRIES - 1,
                connect=0,
                read=0,
                backoff_factor=_FIRST_PAUSE,
                status_forcelist=_PASSING,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
            network_retry=tenacity.Retrying(
                wait=lambda state: backoff(state.attempt_number - 1, _FIRST_PAUSE, _LONGEST_PAUSE),
                stop=tenacity.stop_after_attempt(_TRIES),
                sleep=_pause,
                retry=tenacity.retry_if_exception_type(passing),
                reraise=True,
            ),
        )
        try:
            self.client = Client(self.endpoint, retry_config=again, max_pool_size=_THREADS)
        except ValueError as error:
            raise ConfigurationError(f"{AIS_ENDPOINT}={shown(self.endpoint)} can't be used: {error}") from error

    @contextlib.contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn the client's errors into `RemoteStoreError`, after `what` went wrong."""
        try:
            yield
        except InstoreError:
            raise
        except self._failures as error:
            raise RemoteStoreError(f"{what}: {self._reason(error)}", _is_away(error)) from error
        except self._unparsable as error:  # what the client makes of an answer that is not a store's
            raise RemoteStoreError(
                f"{what}: {shown(self.endpoint)} ({AIS_ENDPOINT}) gave an answer that no store gives"
            ) from error

    def _reason(self, error: Exception) -> str:
        status = _status(error)
        if status is None:
            return f"{shown(self.endpoint)} ({AIS_ENDPOINT}) can't be reached or broke off: {innermost(error)}"
        hint = f"; set {AIS_AUTHN_TOKEN}" if status == 401 else ""
        said = _said(getattr(error, "message", "")) or "no reason given"
        return f"{shown(self.endpoint)} answered {status}: {said}{hint}"


@contextlib.contextmanager
def configuring() -> Iterator[None]:
    """What the store refuses before there is a job is a configuration's error."""
    try:
        yield
    except RemoteStoreError as error:
        raise ConfigurationError(str(error)) from error


def _pause(seconds: float) -> None:
    """Sleep between two tries, unless they are given up."""
    if _GIVEN_UP.get().wait(seconds):
        raise RemoteStoreError("given up")


def _status(error: BaseException | None) -> int | None:
    """The status of an answer that is an error; None if there was no answer."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def shown(url: str) -> str:
    """A URL for a person, without what may be a password in it."""
    return printable(re.sub(r"^(\w+://)?[^/]*@", r"\1", url))


def _is_away(error: Exception) -> bool:
    """Whether an error is the whole store's."""
    status = _status(error)
    return status is None or status in _OF_US or status >= 500


def _said(text: str) -> str:
    """The sentence in a store's answer, which is JSON or a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    return str(value["message"]) if isinstance(value, dict) and "message" in value else text.strip()


def innermost(error: BaseException) -> str:
    """What a library's bundled errors come down to, as the system says it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
