"""A destination that keeps nothing: every object is transformed, every result read to its end, and nothing written."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from instore.errors import AnswerError
from instore.offline.interfaces import NOT_DELIVERED, Item, Stored


class Nowhere:
    """Nowhere; a `ListedDestination`."""

    folds_names = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def exists(self, name: str) -> bool:  # noqa: ARG002
        """Nothing is there."""
        return False

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:  # noqa: ARG002
        """Count a result's bytes."""
        return sum([len(piece) async for piece in body])

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Nothing is left to commit."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """Nothing is written."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)
