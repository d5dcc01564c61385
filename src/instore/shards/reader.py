"""Reading a shard of any kind: what it is, its beginning tells."""

from collections.abc import Generator, Iterator

from instore.errors import ShardError
from instore.shards.member import Member, Reader
from instore.shards.stream import ShardStream
from instore.shards.tar import tar_members
from instore.shards.zip import MAGIC, zip_members


class ShardReader:
    """The members of a shard, in their order; an iterator that goes through it once.

    Args:
        reader: the shard, from its beginning.

    Attributes:
        kind: `tar`, `tar.gz`, `tar.zst` or `zip`, by how it begins.
    """

    def __init__(self, reader: Reader) -> None:
        self._stream = ShardStream(reader)
        is_zip = self._stream.head in MAGIC
        compression = self._stream.compression
        self.kind = "zip" if is_zip else f"tar.{compression}" if compression else "tar"
        self._members: Generator[Member] = zip_members(self._stream) if is_zip else tar_members(self._stream)

    @property
    def failure(self) -> ShardError | None:
        """What is wrong with the shard, whatever whoever read a member has made of that error."""
        return self._stream.failure

    def __iter__(self) -> Iterator[Member]:
        return self

    def __next__(self) -> Member:
        if self.failure is not None:
            raise self.failure
        return next(self._members)

    def close(self) -> None:
        """Release what is held."""
        self._members.close()


def members(reader: Reader) -> Generator[Member]:
    """The members of a shard, in their order and in constant memory.

    A `.tar`, `.tar.gz`, `.tar.zst` or `.zip` is known by how it begins. A zip, whose directory stands at its end, is
    kept in a temporary file meanwhile. Each member can be read until the next one is asked for. What is damaged, cut
    short or empty raises: a loop that ends has had every member.

    Args:
        reader: the shard, from its beginning: the reader of a `transform_stream`, unless that is `async`, or any binary
            file.

    Yields:
        Member: files, and all else that the shard has.

    Raises:
        ShardError: a `ValueError`; the shard is damaged, or is none. The text says where and why.
        TypeError: the reader is asynchronous, or gives text.
        ConfigurationError: a `ValueError`; it is compressed with Zstandard, and `instore[zstd]` is not installed.
    """
    shard = ShardReader(reader)
    try:
        yield from shard
    finally:
        shard.close()
