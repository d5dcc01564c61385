"""`instore pack`: a folder's files into shards, each whole or not at all."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.filesize import decimal

from instore.errors import ConfigurationError, NothingSelectedError, ShardError, SourceError
from instore.offline.folder_destination import FolderDestination
from instore.offline.folder_source import FolderSource, is_inside
from instore.offline.interfaces import Item, ItemState
from instore.offline.plan import scheme_of
from instore.offline.samples import ShardNames, into_shards
from instore.shards.reader import members
from instore.shards.writer import shard_writer
from instore.system.printable import printable
from instore.system.threads import in_thread

_AT_ONCE = 1 << 20  # bytes of a shard that are made in one thread hop
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class _PlannedShard:
    name: str
    files: Sequence[Item]
    is_there: bool


class Packing:
    """A folder's files into shards.

    Args:
        source: the folder.
        destination: a path with a number in its last part, such as `shards/out-%06d.tar`.
        size: bytes of a shard at most, before it is compressed; a larger sample has a shard of its own.
        say: hears of each shard, and of what is no file.

    Raises:
        ConfigurationError: the places can't be used.
    """

    def __init__(self, source: str, destination: str, size: int, say: Callable[[str], None]) -> None:
        if scheme_of(source) or scheme_of(destination):
            raise ConfigurationError("pack goes from folder to folder; for a bucket, pack here and copy the shards")
        folder, pattern = os.path.split(destination)
        self._names = ShardNames.parse(pattern)
        self._source = FolderSource(source)
        self._destination = FolderDestination(folder or ".", naming=None)
        self._size = size
        self._say = say
        if self._destination.folder == self._source.folder or is_inside(self._destination.folder, self._source.folder):
            raise ConfigurationError(
                f"DST {printable(folder or '.')} is SRC or lies inside it: shards would become files to pack; "
                "name a DST elsewhere"
            )

    async def run(self) -> None:
        """Make the shards that are not there.

        Raises:
            ConfigurationError: shards are there that are none of these.
            NothingSelectedError: SRC has no files.
            SourceError: a file can't be read, or has changed meanwhile. The shards before it are there.
            ShardError: a shard that is there is damaged, or a file has a name that no shard can have.
            OSError: the disk.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="pack") as pool:
            async with self._destination:
                shards = await in_thread(pool, self._plan)
                for shard in shards:
                    if not shard.is_there:
                        await self._make(pool, shard)
        files, there = sum(len(shard.files) for shard in shards), sum(shard.is_there for shard in shards)
        self._say(f"{files} files in {len(shards)} shards, {there} of them already there")

    def _plan(self) -> list[_PlannedShard]:
        shards = [
            _PlannedShard(self._names(number), files, self._is_there(self._names(number), files))
            for number, files in enumerate(into_shards(self._files(), self._size))
        ]
        if not shards:
            raise NothingSelectedError("there are no files in SRC")
        for name in sorted(os.listdir(self._destination.folder)):
            number = self._names.number_of(name)
            if number is not None and number >= len(shards):
                raise ConfigurationError(self._of_another(name, f"these files make {len(shards)} shards"))
        return shards

    def _files(self) -> Iterator[Item]:
        """The files of the source. What is no file is said; what can't be looked at must not be missing."""
        for item in self._source.list():
            if item.state is ItemState.FAILED:
                raise SourceError(f"{item.name}: {item.reason}; nothing is packed")
            if item.state is ItemState.SKIPPED:
                self._say(f"skipped {item.name}: {item.reason}")
            else:
                yield item

    def _is_there(self, name: str, files: Sequence[Item]) -> bool:
        """Whether a shard is there, with these very files in it."""
        path = os.path.join(self._destination.folder, name)
        if not self._destination.exists(name):
            return False
        step = 2 if self._names.kind == "zip" else 1  # seconds in which the kind has times
        expected = [(item.name, item.size, item.modified // _SECOND // step * step) for item in files]
        try:
            with open(path, "rb") as file:
                found = [(member.name, member.size, int(member.mtime)) for member in members(file)]
        except ShardError as error:
            raise ConfigurationError(f"{printable(name)} is there, and {error}; remove it") from error
        if found != expected:
            other = next((new for old, new in zip(found, expected, strict=False) if old != new), None)
            why = f"it has not {other[0]}" if other else f"it has {len(found)} files, and not {len(expected)}"
            raise ConfigurationError(self._of_another(name, why))
        return True

    def _of_another(self, name: str, why: str) -> str:
        return (
            f"{printable(name)} is there and was packed from other files, or with another --size: {printable(why)}; "
            "name another DST, or remove its shards"
        )

    async def _make(self, pool: ThreadPoolExecutor, shard: _PlannedShard) -> None:
        item = Item(shard.name, ItemState.TODO)
        stored = await self._destination.write(item, _in_batches(pool, self._pieces(shard)), "")
        (error,) = await self._destination.commit([(stored, shard.name)])
        if error:
            raise ShardError(f"{shard.name}: {error}")
        await self._destination.flush()
        self._say(f"{shard.name}: {len(shard.files)} files, {decimal(stored.size)}")

    def _pieces(self, shard: _PlannedShard) -> Iterator[bytes]:
        writer = shard_writer(self._names.kind)
        for item in shard.files:
            try:
                with open(item.path, "rb") as file:
                    _check(file.fileno(), item)
                    mode = os.fstat(file.fileno()).st_mode & 0o777
                    mtime = item.modified // _SECOND
                    yield from writer.add_file(item.name, file, item.size, mtime=mtime, mode=mode)
                    _check(file.fileno(), item)
            except OSError as error:
                raise SourceError(f"{item.name} can't be read: {error.strerror}") from error
        yield writer.end()


def _check(file: int, item: Item) -> None:
    """Raise if a file is not what it was when the folder was gone through."""
    now = os.fstat(file)
    if (now.st_size, now.st_mtime_ns) != (item.size, item.modified):
        raise SourceError(f"{item.name} has changed since the folder was gone through; the same command packs it anew")


async def _in_batches(pool: ThreadPoolExecutor, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while batch := await in_thread(pool, _batch, pieces):
        yield batch


def _batch(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, joined; empty at the end."""
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _AT_ONCE:
            break
    return b"".join(batch)
