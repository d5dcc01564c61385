"""The members of AIStore's `aistore.sdk.etl.webserver.utils`, under its names.

The rules live in `instore.protocol`; here they have the signatures that users' code knows.
"""

from typing import TYPE_CHECKING, Any

from instore.protocol.pipeline import direct_put_url as _direct_put_url
from instore.protocol.pipeline import parse_pipeline
from instore.shipping.payload import dump, load
from instore.webserver.base_etl_server import ETLServer

if TYPE_CHECKING:
    import requests

UTF_ENCODING = "utf-8"


class _ResponseRawReader:
    """A reader over `response.raw` whose `close` gives the connection back to its pool.

    Closing `response.raw` itself closes the socket and leaves the pool one connection short; closing the response
    does not. Everything but `read` and `close` is that of `response.raw`.

    Args:
        response: a response of the `requests` library, opened with `stream=True`.
    """

    def __init__(self, response: "requests.Response") -> None:
        self._response = response
        self._raw = response.raw

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """Read from the raw body; arguments as for `response.raw.read`."""
        data: bytes = self._raw.read(*args, **kwargs)
        return data

    def close(self) -> None:
        """Close the response and release its connection."""
        self._response.close()

    def __getattr__(self, name: str) -> Any:
        if name in ("_raw", "_response"):  # not set yet: a copy or a pickle in the making
            raise AttributeError(name)
        return getattr(self._raw, name)


def compose_etl_direct_put_url(direct_put_url: str, host_target: str, obj_path: str, etl_args: str = "") -> str:
    """Compose the URL that a result is put to (docs/protocol.md#pipelines-and-direct-put).

    Args:
        direct_put_url: the pipeline's entry. Without a path it is another ETL server and gets the object's path;
            with one it is a target, and the path of `host_target` goes before it.
        host_target: base URL of the local target: scheme and base path.
        obj_path: decoded path of the object.
        etl_args: arguments for the next stage, in place of any in the entry's query. Default: none.

    Returns:
        The complete URL.

    Raises:
        InvalidPipelineError: `direct_put_url` names no host.
    """
    return _direct_put_url(direct_put_url, host_target, obj_path, etl_args)


def parse_etl_pipeline(pipeline_header: str) -> tuple[str, str]:
    """Split the value of `Ais-Node-Url` into its first URL and the rest (docs/protocol.md#pipelines-and-direct-put).

    Args:
        pipeline_header: comma-separated URLs; blank means there is no pipeline.

    Returns:
        `(first_url, remaining_pipeline_header)`; both empty without a pipeline.

    Raises:
        InvalidPipelineError: one of the entries is empty.
    """
    return parse_pipeline(pipeline_header)


def serialize_class(cls: type[ETLServer], encoding: str = UTF_ENCODING) -> str:
    """Pickle a transform's class and encode it in base64, to be shipped (docs/protocol.md#shipping-a-class).

    Args:
        cls: a subclass of `ETLServer`.
        encoding: the encoding of the base64 text. Default UTF-8.

    Returns:
        The base64 text.

    Raises:
        TypeError: `cls` is not a subclass of `ETLServer`.
    """
    if not isinstance(cls, type) or not issubclass(cls, ETLServer):
        raise TypeError(f"{cls!r} is not a subclass of ETLServer")
    return dump(cls).decode(encoding)


def deserialize_class(payload: str, encoding: str = UTF_ENCODING) -> type[ETLServer]:
    """The class that `serialize_class`, ours or AIStore's, made into a payload. It runs what the payload says.

    Args:
        payload: the base64 text; white space in it is ignored.
        encoding: the encoding of the base64 text. Default UTF-8.

    Returns:
        The class.

    Raises:
        PayloadError: the payload is not base64, not a pickle, not a class or not an `ETLServer`; it needs a module
            that is not there; or it was made by another minor version of Python. Without functions in it (an
            importable class is a name) it may come from any. AIStore's payloads don't say where they come from, so
            their bytecode is looked at; of a class as small as `return data` it can't tell 3.11 and 3.12 apart.
    """
    return load(payload.encode(encoding, "replace"), ETLServer)
