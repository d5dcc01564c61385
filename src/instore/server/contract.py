"""What the server needs of a user's object: all that it knows of it, and the checks that the object can keep it."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, Protocol

from instore.errors import UnfitClassError


class Transform(Protocol):
    """A user's object. `instore.webserver.base_etl_server.ETLServer` documents its members."""

    @property
    def concurrency(self) -> int: ...

    @property
    def offered_concurrency(self) -> int: ...

    @property
    def wants_raw_path(self) -> bool: ...

    @property
    def encodes_text(self) -> bool: ...

    @property
    def use_streaming(self) -> bool: ...

    def transform(self, data: Any, path: str, etl_args: str) -> bytes | Awaitable[bytes]: ...

    def transform_stream(self, reader: Any, path: str, etl_args: str) -> Iterator[bytes] | AsyncIterator[bytes]: ...

    def get_mime_type(self) -> str: ...


def check_concurrency(owner: str, value: object) -> None:
    """Refuse a concurrency that is none, on a class or as set on an object."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnfitClassError(f"{owner}.concurrency is {value!r}; it takes a whole number of at least 1")
