"""Whether a bucket has an object, asked of many names that come nearly in order, in bounded memory.

Strategy: two neighbouring pages of the bucket's listing are held. A name behind them turns the pages on; a name before
them begins a new listing, just before it. The names of a job come in order but for what `--ext` changes and for where
folders stand among files, and neither goes back far.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from instore.errors import InvalidRequestError, RemoteStoreError
from instore.offline.interfaces import NOT_THERE, Item, ItemState
from instore.offline.records import OF_A_JOB, in_records
from instore.store.names import check_object_name

_PAGE = 10_000  # names: as many as a store lists at once


def listed_item(name: str, size: int) -> Item:
    """An object of a listing. Names come from elsewhere: none may lead out of a folder."""
    try:
        check_object_name(name)
    except InvalidRequestError as error:
        return Item(name, ItemState.FAILED, str(error), size=size)
    if in_records(name):
        return Item(name, ItemState.SKIPPED, OF_A_JOB, size=size)
    return Item(name, ItemState.TODO, size=size)


class ListedBucket(Protocol):
    """A bucket, as far as its names are concerned; both calls block."""

    def exists(self) -> bool:
        """Whether there is such a bucket."""

    def names(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the objects whose names start with `prefix`, from those greater than `after` on."""


class Lookup:
    """The names in a bucket. One thread at a time may ask."""

    def __init__(self, bucket: ListedBucket, prefix: str, page: int = _PAGE) -> None:
        self.bucket = bucket
        self._prefix = prefix
        self._page = page
        self._names: Iterator[tuple[str, int]] | None = None  # the listing, from behind the second page
        self._after = ""  # what the first page begins behind
        self._first: list[tuple[str, int]] = []
        self._second: list[tuple[str, int]] = []
        self._held: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is an object `name`; it blocks."""
        return self.size(name) is not None

    def find(self, name: str) -> Item:
        """The object `name`; a failed item if there is none. It blocks."""
        size = self.size(name)
        return Item(name, ItemState.FAILED, NOT_THERE) if size is None else Item(name, ItemState.TODO, size=size)

    def size(self, name: str) -> int | None:
        """Bytes of the object `name`; None if there is none. It blocks."""
        names = self._names
        if names is None or name <= self._after:
            names = self._begin(name[:-1])  # which is less than the name, and hardly anything lies between
        while self._second and name > self._second[-1][0]:
            self._turn(names)
        return self._held.get(name)

    def _begin(self, after: str) -> Iterator[tuple[str, int]]:
        names = self._names = self._listed(after)
        self._after, self._first, self._second = after, [], []
        self._turn(names)
        return names

    def _turn(self, names: Iterator[tuple[str, int]]) -> None:
        if self._first:
            self._after = self._first[-1][0]
        self._first, self._second = self._second, list(islice(names, self._page))
        self._held = dict(self._first) | dict(self._second)

    def _listed(self, after: str) -> Iterator[tuple[str, int]]:
        before = ""
        for name, size in self.bucket.names(self._prefix, after) if self.bucket.exists() else ():
            if name < before:  # then a name that is missed here would be done again, and nobody would know
                raise RemoteStoreError(f"{self.bucket} can't be listed: {name!r} comes after {before!r}, out of order")
            yield name, size
            before = name
