"""Some of a source's objects, as a source: those that match patterns, are named, or are in one part of a job."""

import threading
from collections.abc import Iterable, Iterator, Set
from functools import cached_property
from itertools import chain, islice

from instore.errors import InstoreError, JobFailedError, NothingSelectedError
from instore.etl.communicator import TransformRequest
from instore.offline.interfaces import (
    AT_ONCE,
    NOT_THERE,
    FindingManySource,
    FindingSource,
    Item,
    ItemState,
    ListedSource,
    SpellingSource,
    listed_at_once,
)
from instore.offline.part import JobPart
from instore.system.files import temporary
from instore.system.globs import Matches
from instore.system.sorted_names import SortedNames

NOTHING_SELECTED = "no object of SRC is selected by {}"


class MatchingObjects:
    """The objects of a source whose names match."""

    def __init__(self, source: ListedSource, matches: Matches) -> None:
        self.prefix = source.prefix
        self.file_root = source.file_root
        self._source = source
        self._matches = matches

    def path(self, item: Item) -> str:
        """As the source has it."""
        return self._source.path(item)

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """As the source has it."""
        return self._source.request(item, etl_args)

    def list(self) -> Iterator[Item]:
        """Those of the source that match."""
        return self._matching(self._source.list())

    def list_at_once(self) -> Iterator[Item]:
        """See `AtOnce`."""
        return self._matching(listed_at_once(self._source))

    def has(self, name: str) -> bool:
        """Whether the source has it, and it matches."""
        return self._matches(name) and self._source.has(name)

    def _matching(self, items: Iterator[Item]) -> Iterator[Item]:
        return (item for item in items if self._matches(item.name))


class PartOfObjects:
    """The objects of a source that are in one part of a job. Whatever else is found there is in one part, too.

    Args:
        source: all of them.
        part: which.
        selection: how they were selected; empty: they are all of a source. If nothing is selected, in no part, that is
            an error; nothing in this part is none.
    """

    def __init__(self, source: ListedSource, part: JobPart, selection: str) -> None:
        self.prefix = source.prefix
        self.file_root = source.file_root
        self.source = source
        self._part = part
        self._selection = selection

    def path(self, item: Item) -> str:
        """As the source has it."""
        return self.source.path(item)

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """As the source has it."""
        return self.source.request(item, etl_args)

    def list(self) -> Iterator[Item]:
        """Those of the source that are in the part."""
        return self._in_part(self.source.list())

    def list_at_once(self) -> Iterator[Item]:
        """See `AtOnce`."""
        return self._in_part(listed_at_once(self.source))

    def has(self, name: str) -> bool:
        """Whether the source has it, in any part: two objects may want one result across parts."""
        return self.source.has(name)

    def _in_part(self, items: Iterator[Item]) -> Iterator[Item]:
        is_empty = True
        for item in items:
            is_empty = is_empty and item.state is ItemState.SKIPPED
            if self._part.has(item.name):
                yield item
        if is_empty and self._selection:
            raise NothingSelectedError(NOTHING_SELECTED.format(self._selection))


class NamedObjects:
    """The objects of a source with given names, each once; one that isn't there is a failure.

    The names are kept in order, in which a bucket is quick to ask, and not in memory if they are many.

    Args:
        source: where they are.
        names: in any order.
        at_once: but the first, they are read when they are first asked for: nothing but the disk can go wrong then.
    """

    def __init__(self, source: ListedSource, names: Iterable[str], at_once: bool = False) -> None:
        self.prefix = source.prefix
        self.file_root = source.file_root
        self._source = source
        self._rest = iter(map(source.spelled, names) if isinstance(source, SpellingSource) else names)
        self._first = sorted({*islice(self._rest, AT_ONCE)}) if at_once else []
        self._lock = threading.Lock()
        self._sorted: SortedNames | InstoreError | None = None
        if not at_once:
            self._names  # noqa: B018 - which reads them

    def path(self, item: Item) -> str:
        """As the source has it."""
        return self._source.path(item)

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """As the source has it."""
        return self._source.request(item, etl_args)

    def list(self) -> Iterator[Item]:
        """One for each name that starts with the prefix."""
        return self._found(self._names)

    def list_at_once(self) -> Iterator[Item]:
        """See `AtOnce`."""
        if not self.file_root:  # in a bucket they are found in order
            return self.list()
        first = frozenset(self._first)
        return chain(self._found(self._first), self._found(name for name in self._later() if name not in first))

    def has(self, name: str) -> bool:
        """Whether it is one of the names, and there."""
        return name in self._all and self._source.has(name)

    def _found(self, names: Iterable[str]) -> Iterator[Item]:
        names = (name for name in names if name.startswith(self.prefix))
        return self._source.find_all(names) if isinstance(self._source, FindingManySource) else map(self._find, names)

    def _later(self) -> Iterator[str]:
        yield from self._names

    @property
    def _names(self) -> SortedNames:
        with self._lock:
            if self._sorted is None:
                self._sorted = self._read()
        if isinstance(self._sorted, InstoreError):  # for each who asks: what could be read is not all
            raise self._sorted
        return self._sorted

    def _read(self) -> SortedNames | InstoreError:
        try:
            with temporary("the names of the objects"):
                return SortedNames(chain(self._first, self._rest))
        except InstoreError as error:
            return JobFailedError(str(error)) if self._first else error

    @cached_property
    def _all(self) -> Set[str]:
        """All names, in memory: only asked for where two objects may want one result."""
        return frozenset(self._names)

    def _find(self, name: str) -> Item:
        if isinstance(self._source, FindingSource):
            return self._source.find(name)
        if self._source.has(name):
            return Item(name, ItemState.TODO)
        return Item(name, ItemState.FAILED, NOT_THERE)
