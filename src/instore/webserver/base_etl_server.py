"""What a user writes: a subclass of `ETLServer` with `transform` or `transform_stream` (docs/protocol.md#the-class)."""

import functools
import inspect
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol
from urllib.parse import unquote

from instore.errors import UnfitClassError
from instore.protocol.environment import INSTORE_DEVICE, Environment
from instore.protocol.headers import DEFAULT_MIME_TYPE
from instore.server.app import ETLApplication
from instore.server.arguments import decoder_of
from instore.server.contract import Shape, Transform, check_settings
from instore.server.current_object import CurrentObject, CurrentObjects
from instore.server.run import listen_and_run
from instore.server.session import make_session
from instore.server.user_results import Result

if TYPE_CHECKING:
    import requests


DEFAULT_HOST = "0.0.0.0"  # noqa: S104
DEFAULT_PORT = 8000


class AsyncReader(Protocol):
    """The reader that an asynchronous `transform_stream` gets."""

    async def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset; the class has to be `seekable`."""

    async def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that is left when `size` is negative; then `b""`."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The lines that are left, each with its newline."""


class ETLServer:
    """Base of every transform: override `transform`, `transform_batch`, `transform_stream` or `transform_many`.

    Each may be `async`. In place of bytes, `transform` and `transform_batch` may give an `instore.Result`; each of them
    may raise `instore.Skip`.

    `__init__` runs once per worker process and is where models are loaded. A subclass may leave it out, and need not
    call `super().__init__()` unless it wants a broken environment reported before its own work.

    Raises:
        UnfitClassError: a `TypeError`; when an instance is made, if the class overrides none of them, or if
            `concurrency`, `max_batch_size`, `batch_timeout` or `Args` is not what it takes; and when an object that has
            set another number is served.
        ConfigurationError: when an instance is made, if the environment is unfit (docs/protocol.md#environment).
    """

    concurrency: ClassVar[int] = 1
    """How many transforms one process runs at once, each in a thread of its own. The default, 1, means that no two
    calls ever overlap in a process, so that state on `self` needs no lock; processes are added with `--workers`.
    Raise it for transforms that wait (on a network, a child process) and keep no state between calls."""

    max_batch_size: ClassVar[int] = 32
    """How many objects `transform_batch` gets at most."""

    batch_timeout: ClassVar[float] = 0.01
    """Seconds that an object waits at most for others to be in its batch. Default 0.01."""

    Args: ClassVar[Any] = None
    """A dataclass, a msgspec `Struct` or a pydantic model: what the transform gets as its arguments, made from JSON
    (`{"side": 256}`) or a query (`side=256&quality=80`); defaults where there are none. Arguments that don't fit are
    the request's error (400), which names the field. Default: the arguments are the text as it came."""

    wants_raw_path: ClassVar[bool] = False
    """Whether the transform's `path` is as it came, still escaped and with its leading slash. Default: decoded."""

    encodes_text: ClassVar[bool] = False
    """Whether a result that is `str` is taken, as UTF-8. Default: it is the object's error, like any other type."""

    seekable: ClassVar[bool] = False
    """Whether the reader of `transform_stream` can go back (`seek`, `tell`, `fileno`), as `zipfile` and many readers of
    pictures, sound and tables need it. The whole object is then in a temporary file before the method is called,
    however it comes; nothing but the disk of `TMPDIR` bounds it. Default: it is read forward, in constant memory."""

    object: Any = CurrentObject()
    """The object that is being transformed, an `instore.ObjectInfo`: bucket, name, size and what else is known of it.
    For `transform_batch` there is `objects`, a list with one for each. A `LookupError` elsewhere."""

    objects: Any = CurrentObjects()
    """Those of a batch, in order; of another transform its one object; elsewhere none."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> "ETLServer":
        """Refuse a class that can't transform, whether or not it calls our `__init__`."""
        check_class(cls)
        return super().__new__(cls)

    def __init__(self) -> None:
        """Read the environment, so that a server that can't run says so at once."""
        Environment.read(os.environ)

    def transform(self, data: bytes | str, path: str, etl_args: Any) -> bytes | Result | Awaitable[bytes | Result]:
        """Transform one object, whole in memory. If `transform_stream` is overridden too, this one is used.

        Args:
            data: the object's bytes; the path of its file (`str`) under `ETL_DIRECT_FQN=true`, wherever the
                request names a file.
            path: the object's path or uname, decoded, without a leading slash.
            etl_args: the request's arguments: decoded text, empty when there are none; an `Args` if the class has one.

        Returns:
            The transformed object; empty is a valid object. A `Result` where it has a name, a content type or metadata
            of its own. An exception becomes the object's error; after `Skip` the object has no result.
        """
        raise NotImplementedError

    def transform_batch(
        self, objects: list[Any], paths: list[str], etl_args: Any
    ) -> Sequence[bytes | Result | Exception] | Awaitable[Sequence[bytes | Result | Exception]]:
        """Transform several objects at once, as models on a GPU want them. It goes before `transform`.

        Objects with the same arguments that wait meet in a batch: up to `max_batch_size`, and none waits longer than
        `batch_timeout` for others. A batch is one turn of the class's `concurrency`.

        Args:
            objects: for each object what `transform` would get.
            paths: for each object its path.
            etl_args: as for `transform`; that of all.

        Returns:
            For each object, in order, its result, or an `Exception`, which is that object's error; a `Skip` among them
            leaves that object without a result. If the call raises, each object is tried alone, so that one that can't
            be transformed costs nobody else.
        """
        raise NotImplementedError

    def transform_stream(self, reader: BinaryIO, path: str, etl_args: Any) -> Iterator[bytes] | AsyncIterator[bytes]:
        """Transform one object piece by piece, in constant memory.

        Args:
            reader: the object, always a reader, also under `ETL_DIRECT_FQN`; an `AsyncReader` when the method is an
                async generator. It is read forward, unless the class is `seekable`. It raises where the object can't be
                read to its end; a result made from less than the whole of a broken object is never delivered.
            path: as for `transform`.
            etl_args: as for `transform`.

        Yields:
            Pieces of the transformed object, of any size.
        """
        raise NotImplementedError

    def transform_many(
        self, data: bytes | str, path: str, etl_args: Any
    ) -> Iterable[Result] | AsyncIterator[Result] | Awaitable[Iterable[Result]]:
        """Make several results of one object, such as the pages of a document; or none. No other method beside it.

        `instore transform`, `instore.run` and the bucket jobs of `instore node` keep all of an object's results, or
        none. A request for a single object, which can be answered with one result, is refused.

        Args:
            data: as for `transform`.
            path: as for `transform`.
            etl_args: as for `transform`.

        Yields:
            Results, each with a name of its own. An exception, or `Skip`, leaves none of them.
        """
        raise NotImplementedError

    def get_mime_type(self) -> str:
        """The content type of the results. Default `application/octet-stream`."""
        return DEFAULT_MIME_TYPE

    @property
    def offered_concurrency(self) -> int:
        """How many objects are worth sending to one process at once: what `/health` tells.

        Default: `concurrency`, times `max_batch_size` where batches are made.
        """
        return self.concurrency * (self.max_batch_size if _shape(self) is Shape.BATCH else 1)

    @functools.cached_property
    def environment(self) -> Environment:
        """The settings of this process (docs/protocol.md#environment).

        Raises:
            ConfigurationError: `AIS_TARGET_URL` is missing, or a variable has a value that is not of its kind.
        """
        return Environment.read(os.environ)

    @functools.cached_property
    def logger(self) -> logging.Logger:
        """A logger with the class's name."""
        return logging.getLogger(type(self).__name__)

    @functools.cached_property
    def host_target(self) -> str:
        """`AIS_TARGET_URL`, the local target's base URL. It holds the secret: don't log it."""
        return Environment.read(os.environ).target_url

    @functools.cached_property
    def direct_put(self) -> bool:
        """`DIRECT_PUT`: the target supports delivery straight to the destination."""
        return Environment.read(os.environ).direct_put

    @functools.cached_property
    def direct_fqn(self) -> bool:
        """`ETL_DIRECT_FQN`: a buffered transform gets a path wherever a request names a file."""
        return Environment.read(os.environ).direct_fqn

    @functools.cached_property
    def direct_put_retries(self) -> int:
        """`AIS_DIRECT_PUT_RETRIES`: how often a transient failure of a direct put is retried."""
        return Environment.read(os.environ).direct_put_retries

    @functools.cached_property
    def device(self) -> str:
        """What a model is to run on: `cuda` where `--devices` has given this process a device, which is the only one
        that it sees, else `cpu`."""
        return os.environ.get(INSTORE_DEVICE, "cpu")

    @functools.cached_property
    def token(self) -> str | None:
        """`AIS_AUTHN_TOKEN`, the bearer token of outbound requests, or None. Don't log it."""
        return Environment.read(os.environ).authn_token or None

    @functools.cached_property
    def use_streaming(self) -> bool:
        """Whether `transform_stream` is the method in use."""
        return _shape_of(type(self)) is Shape.STREAM

    def warm_up(self) -> None:
        """Called once in each worker process, before it is asked for anything. Default: nothing.

        An exception ends the worker, and with it the command: a model that can't be run is no server.
        """

    @functools.cached_property
    def session(self) -> "requests.Session":
        """A session of the `requests` library for the transform's own use, with this process's token and certificates.

        The server itself does not use it.

        Raises:
            ConfigurationError: `requests` is not installed.
        """
        return make_session(Environment.read(os.environ))

    def client_put(
        self, url: str, data: bytes, headers: Mapping[str, str], timeout: float | None = None
    ) -> "requests.Response":
        """PUT `data` with the session; for the transform's own use.

        Args:
            url: where to.
            data: the body.
            headers: further headers.
            timeout: seconds; None: no limit.

        Raises:
            requests.RequestException: the request failed.
            ConfigurationError: `requests` is not installed.
        """
        return self.session.put(url, data=data, timeout=timeout, headers=headers)

    def sanitize_fqn(self, fqn: str) -> str:
        """The absolute path that an escaped file path stands for, without `..` and doubled slashes.

        The server itself judges paths more strictly (docs/protocol.md#requests).
        """
        return os.path.normpath(os.path.join("/", unquote(fqn).lstrip("/")))

    @functools.cached_property
    def app(self) -> Any:
        """This transform as an ASGI 3 application, for any ASGI server."""
        return self.asgi_app

    @functools.cached_property
    def asgi_app(self) -> ETLApplication:
        """The ASGI application; the same as `app` but where a subclass makes `app` something else."""
        return application_of(self)

    def start(self) -> None:
        """Serve on `self.host` and `self.port` until SIGTERM or SIGINT; `0.0.0.0` and 8000 where they are not set.

        Raises:
            ConfigurationError: the port is in use, or the environment is unfit.
        """
        host, port = getattr(self, "host", DEFAULT_HOST), getattr(self, "port", DEFAULT_PORT)
        listen_and_run(type(self).__name__, application_of(self), host, port)


def application_of(server: ETLServer) -> ETLApplication:
    """The one application of an object, whatever its class calls its own things."""
    found = server.__dict__.get(_APPLICATION)
    if found is None:
        found = server.__dict__[_APPLICATION] = ETLApplication(bind(server))
    return found


def bind(server: ETLServer) -> Transform:
    """A user's object as the server sees it."""
    check_settings(type(server).__name__, server)
    shape = _shape(server)
    return Transform(
        server=server,
        shape=shape,
        method=getattr(server, _METHOD_OF[shape]),
        decode_args=_decoder(type(server)),
        get_mime_type=server.get_mime_type,
        warm_up=server.warm_up,
        concurrency=server.concurrency,
        offered_concurrency=server.offered_concurrency,
        max_batch_size=server.max_batch_size,
        batch_timeout=server.batch_timeout,
        wants_raw_path=server.wants_raw_path,
        encodes_text=server.encodes_text,
        seekable=server.seekable,
    )


def _shape(server: ETLServer) -> Shape:
    """Which method is used; of two, a class may say so by `use_streaming`, as those of AIStore's SDK do."""
    cls = type(server)
    if getattr(server, "use_streaming", None) is True and _overrides(cls, "transform_stream"):
        return Shape.STREAM
    return _shape_of(cls)


def _shape_of(cls: type[ETLServer]) -> Shape:
    return next((shape for shape, name in _METHOD_OF.items() if _overrides(cls, name)), Shape.WHOLE)


def _overrides(cls: type[ETLServer], method: str) -> bool:
    return getattr(cls, method) is not getattr(ETLServer, method)


def _decoder(cls: type[ETLServer]) -> Callable[[str], Any]:
    return str if cls.Args is None else decoder_of(cls.__name__, cls.Args)


def check_class(cls: type[ETLServer]) -> None:
    """Check that `cls` can serve.

    Raises:
        UnfitClassError: a `TypeError`; it overrides none of the transform methods, one of them can't be called as it
            will be, or a setting is not what it takes.
    """
    methods = {name: getattr(cls, name) for name in _METHODS if _overrides(cls, name)}
    if not methods:
        raise UnfitClassError(f"{cls.__name__} overrides none of {', '.join(_METHODS)}; write one of them")
    if "transform_many" in methods and len(methods) > 1:
        others = ", ".join(name for name in methods if name != "transform_many")
        raise UnfitClassError(f"{cls.__name__} overrides transform_many and {others}; write one of them")
    check_settings(cls.__name__, cls)
    if inspect.iscoroutinefunction(cls.transform_stream):
        raise UnfitClassError(f"{cls.__name__}.transform_stream is a coroutine; make it a generator: yield its pieces")
    for name, method in methods.items():
        is_bound = isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
        _check_signature(f"{cls.__name__}.{name}", method, _METHODS[name][is_bound:])
    _decoder(cls)


_APPLICATION = "_instore_application"
_METHOD_OF = {
    Shape.BATCH: "transform_batch",
    Shape.WHOLE: "transform",
    Shape.STREAM: "transform_stream",
    Shape.MANY: "transform_many",
}
_METHODS = {
    "transform": ("self", "data", "path", "etl_args"),
    "transform_batch": ("self", "objects", "paths", "etl_args"),
    "transform_stream": ("self", "reader", "path", "etl_args"),
    "transform_many": ("self", "data", "path", "etl_args"),
}


def _check_signature(name: str, method: Any, arguments: tuple[str, ...]) -> None:
    """Refuse a method that can't take what it gets."""
    try:
        signature = inspect.signature(method)
        signature.bind(*arguments)
    except ValueError:  # of what is not written in Python
        return
    except TypeError as error:
        raise UnfitClassError(f"{name}{signature} can't be called with ({', '.join(arguments)}): {error}") from error
