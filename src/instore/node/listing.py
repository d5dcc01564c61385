"""Listings that are under way: a page costs its share because the walk stands where the page before has ended.

A client that goes on with a listing names its id and the last name it got. If the walk is still there and stands at
that name it goes on; else (the node was started again, another page was asked for twice, too many listings at once) a
new walk begins after that name.
"""

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Coroutine, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from instore.errors import ObjectNotFoundError
from instore.node.cluster import Cluster, Target
from instore.store.names import Bucket
from instore.store.stored import Entry

_KEPT = 64  # walks; each may hold a few open files
_AHEAD = 4  # pages; one may be as large as a few MiB
_FRESH = 1.0  # seconds

Names = Iterator[tuple[str, Target]]


@dataclass(frozen=True, slots=True)
class Query:
    """What is listed.

    Attributes:
        bucket: which.
        prefix, recurse: as `Store.walk` has them.
        target: id of the only target; empty: all.
    """

    bucket: Bucket
    prefix: str = ""
    recurse: bool = True
    target: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        names: names with their targets, in order; one that ends in a slash is a folder.
        uuid: of the listing.
        token: where the next page goes on; empty: there is none.
    """

    names: list[tuple[str, Target]]
    uuid: str
    token: str


Made = tuple[Page, dict[str, Any]]


class Ahead:
    """Pages that are made before they are asked for: a client reads one while the next one is made.

    They are of a few listings at most. One that has waited is no news any more: its names still are what comes next,
    but its objects have to be looked at again.
    """

    def __init__(self) -> None:
        self._pages: OrderedDict[Hashable, tuple[asyncio.Task[Made], float]] = OrderedDict()

    def make(self, key: Hashable, work: Coroutine[Any, Any, Made]) -> None:
        """Begin to make a page."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to who takes it, if anyone
        self._pages[key] = (task, time.monotonic())
        while len(self._pages) > _AHEAD:
            self._pages.popitem(last=False)

    async def take(self, key: Hashable) -> tuple[Page, dict[str, Any], bool] | None:
        """A page, what is sent of it, and whether that is fresh; None if it has not been made."""
        made = self._pages.pop(key, None)
        if made is None:
            return None
        task, began = made
        return *await task, time.monotonic() - began < _FRESH


class Listings:
    """The listings that are under way. Any thread may ask for pages.

    Attributes:
        ahead: pages that are made before they are asked for.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.ahead = Ahead()
        self._cluster = cluster
        self._walks: OrderedDict[tuple[str, Query, str], Names] = OrderedDict()
        self._mutex = threading.Lock()

    def page(self, query: Query, after: str, limit: int, uuid: str = "") -> Page:
        """The next page. It blocks."""
        self._cluster.folder.bucket(query.bucket)
        uuid = uuid or secrets.token_hex(5)
        with self._mutex:
            walk = self._walks.pop((uuid, query, after), None)
        if walk is None:
            only = [self._cluster.target(query.target)] if query.target else []
            walk = self._cluster.walk(query.bucket, query.prefix, after, query.recurse, only)
        names = list(islice(walk, limit))
        if len(names) < limit:
            return Page(names, uuid, "")
        token = names[-1][0]
        with self._mutex:
            self._walks[uuid, query, token] = walk
            while len(self._walks) > _KEPT:
                self._walks.popitem(last=False)
        return Page(names, uuid, token)

    def entries(
        self, query: Query, names: list[tuple[str, Target]], with_attributes: bool
    ) -> list[tuple[Entry | str, Target]]:
        """What is known of a page's objects; a folder stays a name. What has gone meanwhile is left out. It blocks."""
        looks = {target.id: target.store.looking(query.bucket, with_attributes) for target in self._cluster.targets}
        found: list[tuple[Entry | str, Target]] = []
        for name, target in names:
            if name.endswith("/"):
                found.append((name, target))
                continue
            try:
                found.append((looks[target.id](name), target))
            except ObjectNotFoundError:
                continue
        return found
