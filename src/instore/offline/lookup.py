"""Whether a bucket has an object, asked of many names that come nearly in order, in bounded memory.

Strategy: two neighbouring pages of the bucket's listing are held. A name behind them turns the pages on; a name before
them begins a new listing, just before it. The names of a job come in order but for what `--ext` changes and for where
folders stand among files, and neither goes back far.
"""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from instore.errors import InvalidRequestError, RemoteStoreError
from instore.offline.interfaces import NOT_THERE, Item, ItemState
from instore.offline.records import OF_A_JOB, in_records
from instore.store.names import check_object_name

_PAGE = 10_000  # names: as many as a store lists at once


class ListedObject(NamedTuple):
    """What a listing tells of an object; `Item` has the same."""

    name: str
    size: int
    modified: int = 0
    tag: str = ""

    def item(self, check: Callable[[str], None] = check_object_name) -> Item:
        """It as an item. Names come from elsewhere: none may lead out of a folder, or fail the check."""
        state, reason = ItemState.TODO, ""
        try:
            check(self.name)
        except InvalidRequestError as error:
            state, reason = ItemState.FAILED, str(error)
        else:
            if in_records(self.name):
                state, reason = ItemState.SKIPPED, OF_A_JOB
        return Item(self.name, state, reason, size=self.size, modified=self.modified, tag=self.tag)


class ListedBucket(Protocol):
    """A bucket, as far as its names are concerned; both calls block."""

    def exists(self) -> bool:
        """Whether there is such a bucket."""

    def names(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        """The objects whose names start with `prefix`, from those greater than `after` on."""


class Lookup(threading.local):
    """The names in a bucket. Each thread that asks has pages of its own."""

    def __init__(self, bucket: ListedBucket, prefix: str, page: int = _PAGE) -> None:
        self.bucket = bucket
        self._prefix = prefix
        self._page = page
        self._names: Iterator[ListedObject] | None = None  # the listing, from behind the second page
        self._after = ""  # what the first page begins behind
        self._first: list[ListedObject] = []
        self._second: list[ListedObject] = []
        self._held: dict[str, ListedObject] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is an object `name`; it blocks."""
        return self._object(name) is not None

    def find(self, name: str) -> Item:
        """The object `name`; a failed item if there is none. It blocks."""
        found = self._object(name)
        return Item(name, ItemState.FAILED, NOT_THERE) if found is None else found.item()

    def _object(self, name: str) -> ListedObject | None:
        names = self._names
        if names is None or name <= self._after:
            names = self._begin(name[:-1])  # which is less than the name, and hardly anything lies between
        while self._second and name > self._second[-1].name:
            self._turn(names)
        return self._held.get(name)

    def _begin(self, after: str) -> Iterator[ListedObject]:
        names = self._names = self._listed(after)
        self._after, self._first, self._second = after, [], []
        self._turn(names)
        return names

    def _turn(self, names: Iterator[ListedObject]) -> None:
        if self._first:
            self._after = self._first[-1].name
        self._first, self._second = self._second, list(islice(names, self._page))
        self._held = {one.name: one for one in (*self._first, *self._second)}

    def _listed(self, after: str) -> Iterator[ListedObject]:
        before = ""
        for one in self.bucket.names(self._prefix, after) if self.bucket.exists() else ():
            if one.name < before:  # then a name that is missed here would be done again, and nobody would know
                raise RemoteStoreError(
                    f"{self.bucket} can't be listed: {one.name!r} comes after {before!r}, out of order"
                )
            yield one
            before = one.name
