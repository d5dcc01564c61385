"""Which files go into which shard: a sample's files stay together, and the same files make the same shards."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from instore.errors import ConfigurationError
from instore.offline.interfaces import Item
from instore.shards.writer import KINDS, kind_of
from instore.system.printable import printable

_BLOCK = 512
_LONGEST_NAME = 100  # bytes that a tar's header has room for
_NUMBER = re.compile(r"%(0\d+)?d")


@dataclass(frozen=True, slots=True)
class ShardNames:
    """Names with a number in them, such as `out-%06d.tar`.

    Attributes:
        before, after: what stands on either side of the number.
        digits: of the number, at least; filled with zeros.
        kind: of the shards.
    """

    before: str
    after: str
    digits: int
    kind: str

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Those of a pattern.

        Raises:
            ConfigurationError: it is none.
        """
        parts = _NUMBER.split(pattern)
        kind = kind_of(pattern)
        if len(parts) != 3 or any("%" in part for part in (parts[0], parts[2])) or not kind:
            raise ConfigurationError(
                f"DST {printable(pattern)} names no shards; it takes one number and an ending, as in "
                f"shards/out-%06d.tar, of {', '.join(KINDS)}"
            )
        return cls(parts[0], parts[2], int(parts[1] or "0"), kind)

    def __call__(self, number: int) -> str:
        """The name with a number."""
        return f"{self.before}{number:0{self.digits}d}{self.after}"

    def number_of(self, name: str) -> int | None:
        """The number in a name; None if it is none of these names."""
        digits = name.removeprefix(self.before).removesuffix(self.after)
        is_number = digits.isascii() and digits.isdigit()
        return int(digits) if is_number and self(int(digits)) == name else None


def sample_of(name: str) -> tuple[str, str]:
    """What the names of a sample's files have in common: their folder, and their base up to its first dot."""
    folder, _, base = name.rpartition("/")
    return folder, base[:1] + base[1:].partition(".")[0]


def into_shards(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    """The files of each shard: as many whole samples as it takes to reach `size`; more only for a single sample.

    Args:
        items: the files.
        size: bytes of a shard at most, before it is compressed.
    """
    shard: list[Item] = []
    taken = 2 * _BLOCK  # the end marker
    for _, files in groupby(sorted(items, key=_order), lambda item: sample_of(item.name)):
        sample = list(files)
        needed = sum(map(_bytes_of, sample))
        if shard and taken + needed > size:
            yield shard
            shard, taken = [], 2 * _BLOCK
        shard += sample
        taken += needed
    if shard:
        yield shard


def _order(item: Item) -> tuple[tuple[str, str], str]:
    return sample_of(item.name), item.name


def _bytes_of(item: Item) -> int:
    """What a tar has of a file."""
    length = len(os.fsencode(item.name))
    header = _BLOCK if length <= _LONGEST_NAME else 2 * _BLOCK + length + -length % _BLOCK
    return header + item.size + -item.size % _BLOCK
