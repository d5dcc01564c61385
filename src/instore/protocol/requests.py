"""One object's request, read from an HTTP request line and its headers (protocol section 3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from instore.errors import InvalidRequestError
from instore.protocol.headers import NODE_URL, QUERY_ARGS, QUERY_FQN
from instore.protocol.names import unescape, unescape_query
from instore.protocol.pipeline import parse_pipeline

_NODE_URL = NODE_URL.lower().encode()


class Origin(Enum):
    """Where an object's bytes come from."""

    BODY = "body"
    FILE = "file"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """What is asked of the server for one object.

    Attributes:
        path: the object's path or uname, decoded, without the leading slash.
        origin: where its bytes come from.
        fqn: the local file's path for `Origin.FILE`, else empty.
        etl_args: the per-request arguments, decoded and stripped; may be empty.
        next_url: the pipeline's first entry; empty when the result is the answer.
        pipeline: the rest of the pipeline.
        length: the announced length of the body in bytes; None when it was not announced.
    """

    path: str
    origin: Origin
    fqn: str = ""
    etl_args: str = ""
    next_url: str = ""
    pipeline: str = ""
    length: int | None = None


_ORIGINS = {"PUT": Origin.BODY, "GET": Origin.TARGET}
METHODS = tuple(_ORIGINS)


def parse_request(method: str, raw_path: str, query: str, headers: Iterable[tuple[bytes, bytes]]) -> ObjectRequest:
    """Read a request for one object.

    Args:
        method: `GET` or `PUT`.
        raw_path: the path as it came, still escaped, without the query.
        query: the query as it came, without the `?`.
        headers: pairs of lower-case name and value.

    Raises:
        InvalidRequestError: no object is named, or the announced length is not a number.
        InvalidPipelineError: the pipeline has an empty entry.
    """
    path = unescape(raw_path[1:] if raw_path.startswith("/") else raw_path)
    if not path:
        raise InvalidRequestError(f"{method} {raw_path}: no object is named; expected /<bucket>/<object>")
    etl_args, fqn = _parse_query(query) if query else ("", "")
    header, length = "", None
    for name, value in headers:
        if name == _NODE_URL:
            header = f"{header},{value.decode('latin-1')}" if header else value.decode("latin-1")
        elif name == b"content-length":
            length = _parse_length(value)
    next_url, pipeline = parse_pipeline(header) if header else ("", "")
    origin = Origin.FILE if fqn else _ORIGINS[method]
    return ObjectRequest(path, origin, fqn, etl_args, next_url, pipeline, length)


def _parse_query(query: str) -> tuple[str, str]:
    """`etl_args` and `etl_fqn`; of a repeated one the first, as Go reads it."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(unescape_query(name), value)
    etl_args = unescape_query(values.get(QUERY_ARGS, "")).strip()
    fqn = unescape(unescape_query(values.get(QUERY_FQN, "")))
    return etl_args, fqn


def _parse_length(value: bytes) -> int:
    if not value.isdigit():
        raise InvalidRequestError(f"Content-Length {value.decode('latin-1')!r} is not a number")
    return int(value)
