"""The results in an answer that has several, one by one as they come (docs/protocol.md#results-in-frames)."""

from collections.abc import AsyncIterator

from instore.errors import AnswerError, IncompleteAnswerError
from instore.protocol.result_frames import PREFIX_SIZE, ResultHead, decode_head, head_length


class ResultStream:
    """Reads results; each has to be read to its end before the next is asked for.

    Args:
        pieces: of the answer.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._piece, self._position = b"", 0

    async def results(self) -> AsyncIterator[tuple[ResultHead, AsyncIterator[bytes]]]:
        """Each result's head and pieces.

        Raises:
            AnswerError: what comes is no results.
            IncompleteAnswerError: it ends too early.
        """
        while (head := await self._head()) is not None:
            yield head, self._body(head.size)
        behind: bytes = await anext(self._pieces, b"")
        if behind or self._position < len(self._piece):
            raise AnswerError("the server's answer has something behind its results")

    async def _head(self) -> ResultHead | None:
        try:
            length = head_length(await self._exactly(PREFIX_SIZE))
            return decode_head(await self._exactly(length)) if length else None
        except ValueError as error:
            raise AnswerError(f"the server's answer has no results, as it says, but {error}") from error

    async def _body(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._at_most(size)
            size -= len(piece)
            yield piece

    async def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = await self._at_most(size)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    async def _at_most(self, size: int) -> bytes:
        """The next bytes, as many as are at hand."""
        if self._position == len(self._piece):
            self._piece, self._position = await anext(self._pieces, b""), 0
            if not self._piece:
                raise IncompleteAnswerError("the server's answer ended before all of its results had come")
        piece = self._piece[self._position : self._position + size]
        self._position += len(piece)
        return piece
