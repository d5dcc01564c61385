"""What is sent, to whoever asked or to the next hop: bytes at hand, and a stream of the rest."""

from collections.abc import AsyncIterator
from typing import Protocol


class Stream(Protocol):
    """Bytes that arrive batch by batch."""

    @property
    def drained(self) -> bool:
        """Whether all of it was taken."""

    async def take(self) -> bytes:
        """The next batch; empty at the end. Raises where the stream broke off."""


class Body:
    """The first bytes, and the stream of the rest unless the first are all.

    The first batch is there before anything is sent, so that a failure up to then is still a proper error.

    Attributes:
        first: the first bytes.
        rest: where the others come from; None when `first` is the whole.
        length: in bytes, where it is known.
    """

    __slots__ = ("_length", "first", "rest")

    def __init__(self, first: bytes, rest: Stream | None = None, length: int | None = None) -> None:
        self.first = first
        self.rest = rest
        self._length = length

    @classmethod
    async def begin(cls, stream: Stream) -> "Body":
        """Take the first batch of `stream`."""
        first = await stream.take()
        return cls(first, None if stream.drained else stream)

    @property
    def length(self) -> int | None:
        return len(self.first) if self.rest is None else self._length

    async def batches(self) -> AsyncIterator[bytes]:
        """All batches, the first included."""
        batch = self.first
        while batch:
            yield batch
            batch = await self.rest.take() if self.rest is not None else b""
