"""Exact numbers of bytes out of pieces that come as they come."""

from collections.abc import AsyncIterator

from instore.errors import IncompleteAnswerError


class PieceReader:
    """Reads pieces.

    Args:
        pieces: of an answer.
        what: has ended too early if they do.
    """

    def __init__(self, pieces: AsyncIterator[bytes], what: str) -> None:
        self._pieces = pieces
        self._what = what
        self._piece, self._position = b"", 0

    async def is_at_end(self) -> bool:
        """Whether nothing comes any more."""
        if self._position == len(self._piece):
            self._piece, self._position = await anext(self._pieces, b""), 0
        return not self._piece

    async def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        pieces = []
        while size:
            piece = await self.at_most(size)
            size -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def at_most(self, size: int) -> bytes:
        """The next bytes, as many as are at hand."""
        if await self.is_at_end():
            raise IncompleteAnswerError(self._what)
        piece = self._piece[self._position : self._position + size]
        self._position += len(piece)
        return piece
