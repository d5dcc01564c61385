"""The records of a bucket of results: objects with lines of JSON.

Each commit stores the lines of the last object anew, with more of them, until it is large enough and another begins.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from instore.offline.records import RECORDS, Record, line_of, lines_of

_FULL = 256 << 10  # bytes
_READ_AT_ONCE = 16


class RecordStore(Protocol):
    """A bucket, as far as records need it."""

    def exists(self) -> bool:
        """Whether there is such a bucket; it blocks."""

    def names(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects whose names start with `prefix`; it blocks."""

    def content(self, name: str) -> bytes:
        """An object's bytes; it blocks."""

    async def keep(self, name: str, data: bytes) -> None:
        """Store an object, in place of any of that name."""

    async def delete(self, name: str) -> None:
        """Remove an object."""


class RecordObjects:
    """What is kept in a bucket.

    Args:
        bucket: that of the results.
        prepend: what goes before results' names; the records lie in the folder that it names.
    """

    def __init__(self, bucket: RecordStore, prepend: str) -> None:
        self._bucket = bucket
        folder = prepend.rpartition("/")[0]
        self._folder = f"{folder}/{RECORDS}/" if folder else f"{RECORDS}/"
        self._lines = b""
        self._lock = asyncio.Lock()
        self._begin()

    def lines(self) -> Iterator[bytes]:
        """All that is kept, by whichever job; it blocks."""
        names = (name for name, _ in self._bucket.names(self._folder)) if self._bucket.exists() else iter(())
        with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="records") as pool:
            while some := list(itertools.islice(names, _READ_AT_ONCE)):
                for data in pool.map(self._bucket.content, some):
                    yield from lines_of(data)

    async def append(self, records: Sequence[Record]) -> None:
        """Keep records."""
        async with self._lock:
            lines = self._lines + b"".join(map(line_of, records))
            await self._bucket.keep(self._name, lines)
            self._lines = lines
            if len(lines) >= _FULL:
                self._begin()

    def _begin(self) -> None:
        self._name = f"{self._folder}{time.time_ns()}-{secrets.token_hex(4)}.jsonl"
        self._lines = b""
