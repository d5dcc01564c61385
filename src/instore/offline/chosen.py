"""Some of a source's objects, as a source: those that match patterns, are named, or are in one part of a job."""

from collections.abc import Iterable, Iterator, Set
from functools import cached_property

from instore.errors import NothingSelectedError
from instore.etl.communicator import TransformRequest
from instore.offline.interfaces import (
    NOT_THERE,
    FindingManySource,
    FindingSource,
    Item,
    ItemState,
    ListedSource,
    SpellingSource,
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
        return (item for item in self._source.list() if self._matches(item.name))

    def has(self, name: str) -> bool:
        """Whether the source has it, and it matches."""
        return self._matches(name) and self._source.has(name)


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
        is_empty = True
        for item in self.source.list():
            is_empty = is_empty and item.state is ItemState.SKIPPED
            if self._part.has(item.name):
                yield item
        if is_empty and self._selection:
            raise NothingSelectedError(NOTHING_SELECTED.format(self._selection))

    def has(self, name: str) -> bool:
        """Whether the source has it, in any part: two objects may want one result across parts."""
        return self.source.has(name)


class NamedObjects:
    """The objects of a source with given names, each once; one that isn't there is a failure.

    The names are kept in order, in which a bucket is quick to ask, and not in memory if they are many.
    """

    def __init__(self, source: ListedSource, names: Iterable[str]) -> None:
        self.prefix = source.prefix
        self.file_root = source.file_root
        self._source = source
        with temporary("the names of the objects"):
            self._names = SortedNames(map(source.spelled, names) if isinstance(source, SpellingSource) else names)

    def path(self, item: Item) -> str:
        """As the source has it."""
        return self._source.path(item)

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """As the source has it."""
        return self._source.request(item, etl_args)

    def list(self) -> Iterator[Item]:
        """One for each name that starts with the prefix."""
        names = (name for name in self._names if name.startswith(self.prefix))
        return self._source.find_all(names) if isinstance(self._source, FindingManySource) else map(self._find, names)

    def has(self, name: str) -> bool:
        """Whether it is one of the names, and there."""
        return name in self._all and self._source.has(name)

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
