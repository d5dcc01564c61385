"""`instore unpack`: shards' members into files, all of a shard's or none."""

import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from instore.errors import ConfigurationError, InstoreError, NothingSelectedError, ShardError
from instore.offline.folder_destination import PARTIAL, FolderDestination, StoredFile
from instore.offline.folder_source import FolderSource, is_inside
from instore.offline.interfaces import Item, ItemState
from instore.offline.plan import scheme_of
from instore.shards.member import BUFFER, Member
from instore.shards.reader import members
from instore.shards.writer import KINDS, kind_of
from instore.system.printable import printable
from instore.system.threads import in_thread


class _Unpacked(NamedTuple):
    done: int
    there: int


class Unpacking:
    """Shards' members into files.

    Args:
        source: a folder with shards, or one shard.
        destination: the folder of the files; it is made if it is missing.
        say: hears of each shard that fails, and of what is none.

    Raises:
        ConfigurationError: the places can't be used.
    """

    def __init__(self, source: str, destination: str, say: Callable[[str], None]) -> None:
        if scheme_of(source) or scheme_of(destination):
            raise ConfigurationError("unpack goes from folder to folder; for a bucket, copy the shards here first")
        self._name = os.path.basename(source) if os.path.isfile(source) else ""
        self._source = FolderSource(os.path.dirname(source) or "." if self._name else source)
        self._destination = FolderDestination(destination, naming=None)
        if not self._name and is_inside(self._destination.folder + "/", self._source.folder):
            raise ConfigurationError(
                f"DST {printable(destination)} is SRC or lies inside it: what is unpacked would be taken for shards; "
                "name a DST elsewhere"
            )
        self._say = say

    async def run(self) -> bool:
        """Unpack every shard; whether none failed. One that fails leaves nothing.

        Raises:
            NothingSelectedError: SRC has no shards.
            OSError: the disk.
        """
        done = there = failed = count = 0
        with ThreadPoolExecutor(1, thread_name_prefix="unpack") as pool:
            async with self._destination:
                for item in await in_thread(pool, lambda: list(self._shards())):
                    count += 1
                    try:
                        if item.state is ItemState.FAILED:
                            raise ShardError(item.reason)
                        counts = await self._unpack(pool, item)
                    except (InstoreError, OSError) as error:
                        failed += 1
                        self._say(f"failed {item.name}: {error}")
                    else:
                        done, there = done + counts.done, there + counts.there
                await self._destination.flush()
        if not count:
            raise NothingSelectedError(f"there are no shards in SRC; their names end in {', '.join(KINDS)}")
        self._say(f"{done} files of {count - failed} shards, {there} already there; {failed} shards failed")
        return not failed

    def _shards(self) -> Iterator[Item]:
        if self._name:
            yield self._source.find(self._name)
            return
        for item in self._source.list():
            if item.state is ItemState.FAILED or (item.state is ItemState.TODO and kind_of(item.name)):
                yield item
            else:
                self._say(f"skipped {item.name}: {item.reason or 'no shard, by its name'}")

    async def _unpack(self, pool: ThreadPoolExecutor, item: Item) -> _Unpacked:
        """Write all files beside their places, then move them there."""
        written: list[tuple[StoredFile, str]] = []
        there = 0
        files = self._files(item.path)
        try:
            while (found := await in_thread(pool, next, files, None)) is not None:
                name, member = found
                if member is None:
                    there += 1
                    continue
                stored = await self._destination.write(Item(name, ItemState.TODO), _content(pool, member), "")
                written.append((stored, name))
                await in_thread(pool, _describe, stored.path, member)
        except BaseException:
            await in_thread(pool, _remove, written)
            raise
        finally:
            files.close()
        errors = [error for error in await self._destination.commit(written) if error]
        if errors:
            raise ShardError(f"{len(errors)} of its files are not there; the first: {errors[0]}")
        return _Unpacked(len(written), there)

    def _files(self, path: str) -> Generator[tuple[str, Member | None]]:
        """The names of a shard's files, each with its member unless the file is there."""
        names = _Names()
        with open(path, "rb") as file:
            for member in members(file):
                if not member.is_folder:
                    name = _file_name(member)
                    names.add(name)
                    yield name, None if self._is_there(name, member) else member

    def _is_there(self, name: str, member: Member) -> bool:
        """Whether the file is there; another one of that name fails the shard."""
        if not self._destination.exists(name):
            return False
        with open(os.path.join(self._destination.folder, name), "rb") as file:
            is_same = os.fstat(file.fileno()).st_size == member.size
            while is_same and (data := member.read(BUFFER)):
                is_same = file.read(len(data)) == data
        if not is_same:
            raise ShardError(f"{name!r} is there already, with another content; name another DST")
        return True


class _Names:
    """The names of a shard's files."""

    def __init__(self) -> None:
        self._files = set[str]()
        self._folders = set[str]()

    def add(self, name: str) -> None:
        """Take a name; raise if there can't be such a file beside the others."""
        if name in self._files:
            raise ShardError(f"two members are called {name!r}")
        if name in self._folders:
            raise ShardError(f"{name!r} is a file and a folder")
        self._files.add(name)
        folder = os.path.dirname(name)
        while folder and folder not in self._folders:
            if folder in self._files:
                raise ShardError(f"{folder!r} is a file and a folder")
            self._folders.add(folder)
            folder = os.path.dirname(folder)


def _file_name(member: Member) -> str:
    """The name of a member's file below DST.

    Raises:
        ShardError: it can't have one.
    """
    if not member.is_file:
        raise ShardError(f"the member {member.name!r} is a link or a device; only files and folders are unpacked")
    if member.is_sparse:
        raise ShardError(f"the member {member.name!r} is stored without its holes; tar -x unpacks such")
    parts = [part for part in member.name.split("/") if part != "."]
    if not all(parts) or ".." in parts or "\0" in member.name or not parts:
        raise ShardError(f"the member {member.name!r} has a name that leads out of DST, or to no file")
    if parts[0] == PARTIAL:
        raise ShardError(f"the member {member.name!r} lies where unfinished files are kept")
    return "/".join(parts)


async def _content(pool: ThreadPoolExecutor, member: Member) -> AsyncIterator[bytes]:
    left = member.size
    while left:
        data = await in_thread(pool, member.read, BUFFER)
        left -= len(data)
        yield data
    await in_thread(pool, member.read, 1)  # a checksum is checked at the end


def _describe(path: str, member: Member) -> None:
    os.chmod(path, member.mode & 0o777)
    os.utime(path, (member.mtime, member.mtime))


def _remove(written: Sequence[tuple[StoredFile, str]]) -> None:
    for stored, _ in written:
        os.unlink(stored.path)
