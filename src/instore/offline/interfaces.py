"""What the engine knows of everything around it: items, where they come from, who transforms them, where results go.

A source and a destination are composed, in any mixture; neither knows the other, and the engine imports none of them.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import quote, unquote

from instore.etl.communicator import Communicator, TransformRequest
from instore.offline.records import MadeResult, ResultRecords
from instore.protocol.result_frames import ResultHead


class ItemState(Enum):
    """What a job makes of an item."""

    TODO = "to do"
    THERE = "already there"
    SKIPPED = "skipped"
    FAILED = "failed"


class Item(NamedTuple):
    """One thing found in a source.

    Attributes:
        name: the object's name; a file's is its path relative to the source folder, with `/`.
        state: what is to be made of it.
        reason: why it is skipped or failed; else empty.
        result: the result's name; empty if there is none.
        path: the real path of the object's file, free of links; empty where it has none.
        size: bytes of the object.
        modified: when its file was changed, in nanoseconds of Unix time; 0: not known.
        outdated: why a result that is there is not what would be made now; empty: it is, or there is none.
        tag: what its store tells one version of the object from another by; empty: not known.
    """

    name: str
    state: ItemState
    reason: str = ""
    result: str = ""
    path: str = ""
    size: int = 0
    modified: int = 0
    outdated: str = ""
    tag: str = ""


class ItemResult(NamedTuple):
    """What became of an item.

    Attributes:
        item: the object, or what was skipped.
        error: why it failed; empty if it didn't.
        result_bytes: size of the result; None without one.
        seconds: from the request to the result's last byte; None if there was no request.
        frames: where in the user's code the error comes from, the innermost place last.
        code: HTTP status of the answer that failed, or one that says the same; 0 where there was none.
        results: those that its name doesn't tell: several, or one with a name of its own.
    """

    item: Item
    error: str = ""
    result_bytes: int | None = None
    seconds: float | None = None
    frames: Sequence[str] = ()
    code: int = 0
    results: Sequence[MadeResult] = ()

    @property
    def status(self) -> str:
        """`done`, `already there`, `skipped` or `failed`."""
        return "failed" if self.error else _STATUSES[self.item.state]


_STATUSES = {ItemState.TODO: "done", ItemState.THERE: "already there", ItemState.SKIPPED: "skipped"}


class ObjectSource(Protocol):
    """How a worker is asked for an object."""

    def path(self, item: Item) -> str:
        """What `item` is called on the wire, and so in a worker's log."""

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """The request for `item`; made anew for each try."""


class ListedSource(ObjectSource, Protocol):
    """A source that can be gone through: a folder, a bucket.

    Attributes:
        prefix: what the names of all its objects start with.
        file_root: folder whose files workers must be allowed to read; empty: objects are sent.
    """

    @property
    def prefix(self) -> str: ...

    @property
    def file_root(self) -> str: ...

    def list(self) -> Iterator[Item]:
        """Everything in it whose name starts with the prefix. It blocks, and may be called more than once.

        Raises:
            RemoteStoreError: a store can't be listed.
        """

    def has(self, name: str) -> bool:
        """Whether there is an object `name`. It blocks."""


AT_ONCE = 256
"""Objects of a large folder or list that come before the others are read."""


@runtime_checkable
class AtOnce(Protocol):
    """A source that takes long to put its objects in order."""

    def list_at_once(self) -> Iterator[Item]:
        """The same as `ListedSource.list`: first some that are soon found, then the others, which are in order."""


def listed_at_once(source: ListedSource) -> Iterator[Item]:
    """Everything in a source, as soon as it can be had."""
    return source.list_at_once() if isinstance(source, AtOnce) else source.list()


NOT_THERE = "there is no such object in SRC"
"""What a source says of a name that none of its objects has."""


@runtime_checkable
class FindingSource(Protocol):
    """A source that can tell all that it knows of a single object, whose name is given; `has` tells less."""

    def find(self, name: str) -> Item:
        """The object `name`, however it is spelled; a failed item if there is none. It blocks."""


@runtime_checkable
class SpellingSource(Protocol):
    """A source whose objects may be spelled in several ways."""

    def spelled(self, name: str) -> str:
        """`name` as `FindingSource.find` has it; nothing is looked at."""


@runtime_checkable
class FindingManySource(Protocol):
    """A source that is quicker to ask for many objects at once."""

    def find_all(self, names: Iterable[str]) -> Iterator[Item]:
        """What `FindingSource.find` tells of each, in their order. It blocks."""


class Stored(Protocol):
    """A result that is written, but not committed.

    Attributes:
        size: its bytes.
        results: see `ItemResult`.
    """

    @property
    def size(self) -> int: ...

    @property
    def results(self) -> Sequence[MadeResult]: ...


AnyStored = TypeVar("AnyStored", bound=Stored)

Results = AsyncIterator[tuple[ResultHead, AsyncIterator[bytes]]]
"""Results as they come: each with what is said of it, and its bytes, which are read before the next one's."""


class Destination(Protocol[AnyStored]):
    """Where results go."""

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> AnyStored | int:
        """Take the result of `item`, piece by piece; `content_type` is what its worker says it is.

        Returns:
            What is to be committed; its size, if it is committed already.

        Raises:
            OSError: it can't be kept.
            ResultExistsError: another command has stored it meanwhile, and it is to be left.
            CommittedError: cancelled, but too late: the result is committed.
        """

    async def write_results(self, item: Item, results: Results) -> AnyStored:
        """Take several results of `item`, or one with a name or metadata: all, or none.

        Raises:
            InstoreError: a name can't be one, or is another object's result's; or as `write`.
            OSError: they can't be kept.
        """

    async def skip(self, item: Item, reason: str) -> AnyStored:
        """Note that the transform has skipped `item`. Raises as `write`."""

    async def commit(self, batch: Sequence[tuple[AnyStored, str]]) -> list[str]:
        """Make results appear under their names; for each, why it could not be done, or an empty text."""

    async def flush(self) -> None:
        """Make what was committed last."""

    def delivered(self, item: Item) -> int:
        """Bytes of the result of `item` that a worker says it has delivered.

        Raises:
            AnswerError: it has not.
        """


NOT_DELIVERED = "the server says that the result is delivered, which no request asked for"
"""What a destination says that nothing can be delivered to."""


class ListedDestination(Destination[AnyStored], Protocol):
    """A destination that can be asked what it has; an asynchronous context that holds it.

    Attributes:
        folds_names: names that differ in upper and lower case, or in Unicode's forms, are one; known once it is held.
        records: what became of objects whose results' names don't tell that.
    """

    @property
    def folds_names(self) -> bool: ...

    @property
    def records(self) -> ResultRecords: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def exists(self, name: str) -> bool:
        """Whether there is a result `name`. It blocks.

        Raises:
            NameConflictError: no result can have that name; the text says why.
            RemoteStoreError: a store can't tell.
        """

    def has_all(self, names: Sequence[str]) -> bool:
        """Whether all of a recorded object's results are still there, as far as that can be told at once. It blocks."""


ORIGIN = "instoreorigin"
"""What keeps the origin of a result in a bucket, in its metadata: letters alone, as Azure wants it."""


class ResultOrigin(NamedTuple):
    """What a result was made of, and by what.

    Attributes:
        code, arguments: digests of the class and its arguments; empty: not known.
        size: bytes of the object; -1: not known.
        modified: as the object's `Item` had it; of the result itself where the rest isn't known.
        tag: as the object's `Item` had it; empty: not known.
    """

    code: str
    arguments: str
    size: int
    modified: int
    tag: str = ""

    @property
    def text(self) -> str:
        """It in ASCII, to be kept with the result."""
        return f"{self.code} {self.arguments} {self.size} {self.modified} {quote(self.tag)}"

    @classmethod
    def parse(cls, text: str) -> "ResultOrigin":
        """That of a text; `ValueError` if it is none."""
        code, arguments, size, modified, *tag = text.split(" ")
        return cls(code, arguments, int(size), int(modified), unquote("".join(tag)))

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str], stored: int) -> "ResultOrigin":
        """That of an object in a bucket, which was stored at a time."""
        with contextlib.suppress(ValueError):  # none of ours is there
            return cls.parse(metadata.get(ORIGIN, ""))
        return cls("", "", -1, stored)


@runtime_checkable
class RemembersOrigins(Protocol):
    """A destination that knows what its results were made of: `--update` needs that.

    Attributes:
        remembers: whether it does; if not, it knows only when they were made. Known once it is held.
    """

    @property
    def remembers(self) -> bool: ...

    def origin(self, name: str) -> ResultOrigin:
        """That of the result `name`, which is there. It blocks."""


@runtime_checkable
class LooksAhead(Protocol):
    """A destination that is slow to tell the origin of a result, and quicker for many at once."""

    def look_at(self, names: Sequence[str]) -> None:
        """The origins of those of these results that are there will be asked for next. It blocks."""


class CommittedError(asyncio.CancelledError):  # it is a cancellation
    """A destination was cancelled while a result was committed, and it was: the object is done.

    Args:
        size: the result's bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()


class WorkerProtocol(Protocol):
    """A process that transforms, here or elsewhere.

    Attributes:
        concurrency: how many transforms it runs at once.
        exited: done when it has died.
        pid: its id.
    """

    @property
    def concurrency(self) -> int: ...

    @property
    def exited(self) -> "asyncio.Future[int]": ...

    @property
    def pid(self) -> int: ...

    async def is_dead(self) -> bool:
        """Whether it is, asked when an exchange with it broke."""

    async def give_up(self, reason: str) -> None:
        """End it at once: it hangs. `reason` is how it died."""

    def how_it_died(self) -> str:
        """`exited with code 3`."""

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text."""


class Worker(WorkerProtocol, Protocol):
    """One that is asked for objects here.

    Attributes:
        communicator: how to talk to it.
    """

    @property
    def communicator(self) -> Communicator: ...


class RemoteWorker(ABC):
    """A worker on another machine, which reads objects and writes results there.

    Attributes:
        concurrency, exited, pid: see `WorkerProtocol`.
        is_lost: it died with its machine, or can't be reached: no object is to blame.
    """

    concurrency: int
    exited: "asyncio.Future[int]"
    pid: int
    is_lost: bool

    @abstractmethod
    async def transfer(self, item: Item, received: Callable[[int], None]) -> Any:
        """Have one object transformed, and its result written: what `Destination.write` returns and raises.

        Args:
            item: the object.
            received: is told the bytes of the result.
        """

    @abstractmethod
    async def is_dead(self) -> bool:
        """See `WorkerProtocol`."""

    @abstractmethod
    async def give_up(self, reason: str) -> None:
        """See `WorkerProtocol`."""

    @abstractmethod
    def how_it_died(self) -> str:
        """See `WorkerProtocol`."""

    @abstractmethod
    def last_lines(self, containing: str = "") -> list[str]:
        """See `WorkerProtocol`."""


AnyWorker = TypeVar("AnyWorker", bound=Worker | RemoteWorker)


class Workers(Protocol[AnyWorker]):
    """Where workers come from."""

    async def start(self) -> AnyWorker:
        """Another worker, ready for requests; `ConfigurationError` if there is none to be had."""

    async def discard(self, worker: AnyWorker) -> None:
        """Forget one that died."""


class ShardMembers(NamedTuple):
    """What became of a shard's members.

    Attributes:
        shard: the object's name.
        transformed, copied: how many were.
        failed: the names of those that failed, each with its cause.
        outcome: what became of these: `dropped` or `kept`.
        skipped: how many the transform has skipped, so that they are left out.
    """

    shard: str
    transformed: int
    copied: int
    failed: Sequence[tuple[str, str]]
    outcome: str
    skipped: int = 0


class Observer(Protocol):
    """Who hears what happens, on the job's event loop."""

    def settled(self, result: ItemResult) -> None:
        """An item is done with."""

    def received(self, size: int) -> None:
        """So many bytes of results have come."""

    def noted(self, text: str) -> None:
        """Something a person should know, which is no object's error."""


class JobObserver(Observer, Protocol):
    """Who hears of a whole job, too."""

    def printed(self, worker: int, line: str) -> None:
        """A worker's process, counted from 1, has printed a line."""

    def made(self, shard: "ShardMembers") -> None:
        """A shard was made, and so it went with its members; told at the job's end."""

    def started(self) -> None:
        """The workers are about to start."""

    def counted(self, todo: int) -> None:
        """The source has been gone through, before the job or beside it, and so many objects are to do."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How objects are transformed.

    Attributes:
        workers: how many processes.
        etl_args: goes with every object.
        continue_on_error: a failed object doesn't stop the job.
        slots: objects under way in each worker at once; 0: as many as it transforms at once, and more while they are
            quick.
        most_slots: the most of them; 0: as many as help.
        retries: how often an object whose answer broke off is tried again, though its worker lives.
        error_retries: how often an object that the transform failed on is tried again.
        timeout: seconds that one object may take, once the worker has time for it; None: as long as it takes.
        replaces_hung: a worker that takes longer over an object is ended, and another takes its place.
        most_failures: with `continue_on_error`: with one more the job ends; None: however many there are.
        takes_results: objects may have several results, or names of their own.
    """

    workers: int = 1
    etl_args: str = ""
    continue_on_error: bool = False
    slots: int = 0
    most_slots: int = 0
    retries: int = 0
    error_retries: int = 0
    timeout: float | None = None
    replaces_hung: bool = False
    most_failures: int | None = None
    takes_results: bool = True
