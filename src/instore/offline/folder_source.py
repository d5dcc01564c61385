"""A folder as a bucket: which of its files are objects, what their results are called, and what stands in the way.

The walk is a generator: sorted within each folder, only the names of the folders on the way held in memory. It may
be run more than once, and reads nothing but folders and the state of files.
"""

import asyncio
import itertools
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from instore.errors import AnswerError, ConfigurationError
from instore.etl.communicator import TransformRequest
from instore.system.printable import printable

PARTIAL = ".instore-partial"
"""The folder at the top of a destination where results are written before they get their names."""

_BATCH = 256  # items found in one thread hop


class ItemState(Enum):
    """What a job makes of an item."""

    TODO = "to do"
    THERE = "already there"
    SKIPPED = "skipped"
    FAILED = "failed"


class Item(NamedTuple):
    """One thing found in the source folder.

    Attributes:
        name: its path relative to the source folder, with `/`; the object's name.
        fate: what is to be made of it.
        reason: why it is skipped or failed; else empty.
        result: the result's name, relative to the destination folder; empty if there is none.
        path: the real path of the object's file, free of links; empty if it is not an object.
        size: bytes of the object's file.
    """

    name: str
    state: ItemState
    reason: str = ""
    result: str = ""
    path: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What goes where.

    Attributes:
        source, destination: real paths of the two folders; the second need not exist.
        prefix: only objects whose name starts with it.
        extensions: pairs of an object's extension and its result's, without dots.
        prepend: goes before each result's name as it is.
        overwrite: results that are already there are made again.
    """

    source: str
    destination: str
    prefix: str = ""
    extensions: tuple[tuple[str, str], ...] = ()
    prepend: str = ""
    overwrite: bool = False

    @classmethod
    def make(
        cls, source: str, destination: str, prefix: str, extensions: Sequence[str], prepend: str, overwrite: bool
    ) -> "FolderPlan":
        """Check what a user has written, and plan it.

        Args:
            extensions: each `jpg:png`.

        Raises:
            ConfigurationError: the folders don't fit each other, or an option is malformed.
        """
        check_prepend(prepend)
        pairs = parse_extensions(extensions)
        return cls(*_check_folders(source, destination), prefix, pairs, prepend, overwrite)

    @property
    def bucket(self) -> str:
        """The bucket's name on the wire: the source folder's own."""
        return os.path.basename(self.source) or "root"

    def order(self, etl_args: str, workers: int, continue_on_error: bool) -> "FolderOrder":
        """How the objects are transformed; a `job.JobOptions`."""
        return FolderOrder(self.bucket, etl_args, workers, continue_on_error)

    def items(self) -> Iterator[Item]:
        """Everything in the source folder whose name starts with the prefix, folders excepted."""
        folders = [iter(_listing(self.source, ""))]
        while folders:
            name = next(folders[-1], None)
            if name is None:
                folders.pop()
            elif isinstance(name, Item):
                yield name
            elif self._leads_to_prefix(name):
                found = self._look_at(name)
                if found is None:
                    folders.append(iter(_listing(os.path.join(self.source, name), name + "/")))
                elif name.startswith(self.prefix):
                    yield found

    def checked_items(self) -> Iterator[Item]:
        """`items`, with a look at whether two of them want the same result.

        Raises:
            ConfigurationError: two do.
        """
        for item in self.items():
            other = self._conflict_of(item) if item.result else None
            if other is not None:
                raise ConfigurationError(
                    f"{printable(item.name)} and {printable(other)} would both become {printable(item.result)}; "
                    "change --ext, or transform them into different places"
                )
            yield item

    def result_name(self, name: str) -> str:
        """What the result of the object `name` is called."""
        stem, dot, old = name.rpartition(".")
        if dot and stem and not stem.endswith("/"):  # `.jpg` is a hidden file, not an extension
            name = f"{stem}.{dict(self.extensions).get(old, old)}"
        return self.prepend + name

    def _conflict_of(self, item: Item) -> str | None:
        """The name of another object with the same result as `item`; None if there is none.

        Two names share a result only if an extension was mapped, so the few names that could be the other one are
        looked for, instead of every result's name being remembered.
        """
        stem, dot, new = item.result[len(self.prepend) :].rpartition(".")
        if not self.extensions or not dot:
            return None
        for old in (new, *(old for old, mapped in self.extensions if mapped == new)):
            name = f"{stem}.{old}"
            is_rival = name != item.name and name.startswith(self.prefix) and self.result_name(name) == item.result
            if is_rival and self._is_object(name):
                return name
        return None

    def _is_object(self, name: str) -> bool:
        found = self._look_at(name)
        return found is not None and bool(found.path)

    def _leads_to_prefix(self, name: str) -> bool:
        """Whether `name`, or something below it if it is a folder, can start with the prefix."""
        return name.startswith(self.prefix) or self.prefix.startswith(name + "/")

    def _look_at(self, name: str) -> Item | None:
        """What `name` is; None for a folder."""
        path = os.path.join(self.source, name)
        if name == PARTIAL:
            return Item(name, ItemState.SKIPPED, "the unfinished results of another job")
        try:
            state = os.lstat(path)
            is_link = stat.S_ISLNK(state.st_mode)
            if is_link:
                path = os.path.realpath(path, strict=True)
                state = os.stat(path)
        except FileNotFoundError:
            return Item(name, ItemState.SKIPPED, "a link that leads nowhere, or a file that has just gone")
        except OSError as error:
            return Item(name, ItemState.FAILED, f"can't be looked at: {error.strerror}")
        if stat.S_ISDIR(state.st_mode):
            return Item(name, ItemState.SKIPPED, "a link to a folder") if is_link else None
        if is_link and not is_inside(path, self.source):
            return Item(name, ItemState.SKIPPED, "a link that leads out of the source folder")
        if not stat.S_ISREG(state.st_mode):
            return Item(name, ItemState.SKIPPED, _SPECIAL.get(stat.S_IFMT(state.st_mode), "not a regular file"))
        return self._judge(name, path, state.st_size)

    def _judge(self, name: str, path: str, size: int) -> Item:
        """The object `name`: to do, already there, or without a place for its result."""
        result = self.result_name(name)
        return Item(name, *self.state_of(result), result, path, size)

    def state_of(self, result: str) -> tuple[ItemState, str]:
        """What is to be made of an object whose result is called `result`, and why if it fails."""
        if result.startswith(PARTIAL + "/"):
            return ItemState.FAILED, f"its result can't be called {printable(result)}: that folder is in use"
        try:
            there = os.stat(os.path.join(self.destination, result))
        except FileNotFoundError:
            return ItemState.TODO, ""
        except OSError as error:
            return ItemState.FAILED, f"its result can't be called {printable(result)}: {error.strerror}"
        if stat.S_ISDIR(there.st_mode):
            return ItemState.FAILED, f"its result can't be called {printable(result)}: a folder has that name"
        return ItemState.TODO if self.overwrite else ItemState.THERE, ""


@dataclass(frozen=True, slots=True)
class FolderOrder:
    """How a folder's objects are transformed; a `job.JobOptions`.

    Attributes:
        bucket: the objects' bucket on the wire.
        etl_args: goes with every object.
        workers: how many processes.
        continue_on_error: a failed object doesn't stop the job.
    """

    bucket: str
    etl_args: str
    workers: int
    continue_on_error: bool
    slots: int = 0
    retries: int = 0
    timeout: float | None = None  # how long a transform may take is the user's to say

    def path(self, item: Item) -> str:
        """`<bucket>/<object>`."""
        return f"{self.bucket}/{item.name}"

    def ask(self, item: Item) -> TransformRequest:
        """By the path of its file; the result is the answer."""
        return TransformRequest(self.path(item), item.path, self.etl_args)

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError("the server says that the result is delivered, which it was not asked to do")


async def in_batches(items: Iterator[Item]) -> AsyncIterator[list[Item]]:
    """`items` a batch at a time, each found in a thread of its own."""
    while batch := await asyncio.to_thread(lambda: list(itertools.islice(items, _BATCH))):
        yield batch


_SPECIAL = {
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` lies below `folder`; both absolute and free of links."""
    return path.startswith(folder.rstrip("/") + "/")


def _listing(folder: str, start: str) -> Iterator[str | Item]:
    """The names in `folder`, each after `start`; one failed item if it can't be listed."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield Item(start.rstrip("/") or ".", ItemState.FAILED, f"the folder can't be listed: {error.strerror}")
        return
    for name in names:
        yield start + name


def source_folder(source: str) -> str:
    """The real path of SRC.

    Raises:
        ConfigurationError: it is not a folder.
    """
    if not os.path.isdir(source):
        reason = "is not a folder" if os.path.lexists(source) else "does not exist"
        raise ConfigurationError(f"SRC {printable(source)} {reason}; name a folder with the files to transform")
    return os.path.realpath(source)


def destination_folder(destination: str) -> str:
    """The real path of DST, which need not exist.

    Raises:
        ConfigurationError: it is a file.
    """
    if os.path.lexists(destination) and not os.path.isdir(destination):
        raise ConfigurationError(f"DST {printable(destination)} is not a folder; name a folder for the results")
    return os.path.realpath(destination)


def _check_folders(source: str, destination: str) -> tuple[str, str]:
    """The real paths of both.

    Raises:
        ConfigurationError: the source is not a folder, the destination a file, or one lies in the other.
    """
    real_source, real_destination = source_folder(source), destination_folder(destination)
    if real_source == real_destination:
        raise ConfigurationError(f"SRC and DST are the same folder, {printable(real_source)}; name another DST")
    if is_inside(real_destination, real_source):
        raise ConfigurationError(
            f"DST {printable(destination)} lies inside SRC {printable(source)}: results would become objects; "
            "name a DST elsewhere"
        )
    if is_inside(real_source, real_destination):
        raise ConfigurationError(
            f"SRC {printable(source)} lies inside DST {printable(destination)}: results could replace objects; "
            "name a DST elsewhere"
        )
    return real_source, real_destination


def check_prepend(prepend: str) -> None:
    """Refuse what would lead out of the destination.

    Raises:
        ConfigurationError: it would, or into `PARTIAL`.
    """
    parts = prepend.split("/")
    if prepend.startswith("/") or ".." in parts:
        raise ConfigurationError(
            f"--prepend {printable(prepend)} leads out of DST; it takes a name or a path below DST"
        )
    if parts[0] == PARTIAL:
        raise ConfigurationError(f"--prepend {printable(prepend)}: {PARTIAL} is where unfinished results are kept")


def parse_extensions(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs that `OLD:NEW` texts stand for.

    Raises:
        ConfigurationError: one is malformed, or an extension is mapped twice.
    """
    pairs = tuple(_parse_extension(text) for text in texts)
    if len({old for old, _ in pairs}) < len(pairs):
        raise ConfigurationError(f"--ext {' --ext '.join(texts)}: an extension is mapped twice")
    return pairs


def _parse_extension(text: str) -> tuple[str, str]:
    old, colon, new = text.partition(":")
    old, new = old.removeprefix("."), new.removeprefix(".")
    if not colon or not old or not new or any(sign in old + new for sign in "/.:"):
        raise ConfigurationError(f"--ext {printable(text)} is malformed; expected OLD:NEW, as in jpg:png")
    return old, new
