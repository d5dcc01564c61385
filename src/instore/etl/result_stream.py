"""The results in an answer that has several, one by one as they come (docs/protocol.md#results-in-frames)."""

from collections.abc import AsyncIterator

from instore.errors import AnswerError
from instore.etl.piece_reader import PieceReader
from instore.protocol.result_frames import PREFIX_SIZE, ResultHead, decode_head, head_length


class ResultStream:
    """Reads results; each has to be read to its end before the next is asked for.

    Args:
        pieces: of the answer.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._reader = PieceReader(pieces, "the server's answer ended before all of its results had come")

    async def results(self) -> AsyncIterator[tuple[ResultHead, AsyncIterator[bytes]]]:
        """Each result's head and pieces.

        Raises:
            AnswerError: what comes is no results.
            IncompleteAnswerError: it ends too early.
        """
        while (head := await self._head()) is not None:
            yield head, self._body(head.size)
        if not await self._reader.is_at_end():
            raise AnswerError("the server's answer has something behind its results")

    async def _head(self) -> ResultHead | None:
        try:
            length = head_length(await self._reader.exactly(PREFIX_SIZE))
            return decode_head(await self._reader.exactly(length)) if length else None
        except ValueError as error:
            raise AnswerError(f"the server's answer has no results, as it says, but {error}") from error

    async def _body(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._reader.at_most(size)
            size -= len(piece)
            yield piece
