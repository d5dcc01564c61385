"""What a transform may return in place of bytes, and what of it a request's answer can carry."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from instore.errors import ResultCarriedError
from instore.protocol.headers import RESULTS_TYPE
from instore.protocol.names import why_no_object_name
from instore.protocol.requests import ObjectRequest
from instore.protocol.result_frames import END, ResultHead, encode_head

_CONTENT_TYPE = re.compile(r"[!#-~]+/[!-~][ -~]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Result:
    """A result with more to it than its bytes. A transform returns it in place of bytes, or yields several.

    `instore transform`, `instore.run` and the bucket jobs of `instore node` keep all of it. A request for a single
    object carries the data and the content type; a name or metadata make it fail there (docs/results.md).

    Args:
        data: the result's bytes; a text only from a class that `encodes_text`.
        name: the result's whole name below the destination, such as `f"{self.object.name}/page-1.png"`; `--prepend`
            goes before it, and `--ext` doesn't change it. Default: the name that a plain result would have.
        content_type: such as `image/png`. Default: what the class's `get_mime_type` says.
        metadata: texts by names of letters, digits, `-` and `_`. Default: none.

    Raises:
        TypeError: one of them is of another type.
        ValueError: the name can't be an object's (an empty part, `..`, a NUL, too long), the content type is none, or
            what is in the metadata can't stand in a header.
    """

    data: bytes | bytearray | memoryview | str
    name: str = ""
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes | bytearray | memoryview | str):
            raise TypeError(f"a Result's data is {type(self.data).__name__}; it takes bytes")
        for field_name in ("name", "content_type"):
            value = getattr(self, field_name)
            if not isinstance(value, str):
                raise TypeError(f"a Result's {field_name} is {value!r}; it takes a text")
        if self.name and (reason := why_no_object_name(self.name)):
            raise ValueError(f"{self.name[:100]!r} can't be a result's name: {reason}")
        if self.content_type and not _CONTENT_TYPE.fullmatch(self.content_type):
            raise ValueError(f"{self.content_type!r} is no content type; it takes one such as image/png")
        _check_metadata(self.metadata)


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, Mapping):
        raise TypeError(f"a Result's metadata is {metadata!r}; it takes texts by their names")
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"a Result's metadata has {name!r}: {value!r}; it takes texts by their names")
        if not _KEY.fullmatch(name):
            raise ValueError(f"a Result's metadata has the name {name!r}; it takes letters, digits, - and _")
        if _CONTROLS.search(value):
            raise ValueError(f"a Result's metadata has {value!r} as {name}; it takes a text of one line")


class TypedBytes(NamedTuple):
    """A result as it is answered.

    Attributes:
        data: its bytes.
        content_type: theirs; empty: the class's.
    """

    data: bytes
    content_type: str


def as_answered(result: Result, data: bytes, mime_type: str, request: ObjectRequest) -> TypedBytes:
    """What is answered for a result with these bytes, of a class with that content type.

    Raises:
        ResultCarriedError: its name or metadata can't be told to whoever asks.
    """
    if not result.name and not result.metadata:
        return TypedBytes(data, result.content_type)
    if not request.takes_results:
        what = f"the name {result.name!r}" if result.name else "metadata"
        raise ResultCarriedError(
            f"the transform of {request.path!r} gave its result {what}, which the answer to a request can't carry; "
            f"{WHO_TAKES_RESULTS}"
        )
    return TypedBytes(b"".join([frame_of(result, data, mime_type, is_only=True), END]), RESULTS_TYPE)


def check_takes_results(request: ObjectRequest) -> None:
    """Refuse to make several results for whoever can take only one.

    Raises:
        ResultCarriedError: the request is from such.
    """
    if not request.takes_results:
        raise ResultCarriedError(
            f"transform_many makes several results of {request.path!r}, and the answer to a request can carry one; "
            f"{WHO_TAKES_RESULTS}"
        )


WHO_TAKES_RESULTS = "instore transform and the bucket jobs of instore node take it"


def frame_of(result: Result, data: bytes, mime_type: str, is_only: bool) -> bytes:
    """A result as it stands among others."""
    head = ResultHead(result.name, result.content_type or mime_type, result.metadata, len(data), is_only)
    return b"".join([encode_head(head), data])


def checked_results(results: Any) -> Iterator[Result]:
    """What `transform_many` gives, one by one.

    Raises:
        TypeError: it gives something that is no `Result` with a name.
        ValueError: two of them have one name.
    """
    seen = set[str]()
    for result in results:
        if not isinstance(result, Result):
            raise TypeError(f"transform_many yielded {type(result).__name__}; it takes instore.Result(data, name=...)")
        if not result.name:
            raise TypeError("transform_many yielded a Result without a name; each of several needs its own")
        if result.name in seen:
            raise ValueError(f"transform_many yielded two results that are called {result.name!r}")
        seen.add(result.name)
        yield result
