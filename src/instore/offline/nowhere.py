"""A destination that keeps nothing: every object is transformed, every result read to its end, and nothing written."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from instore.errors import AnswerError
from instore.offline.interfaces import NOT_DELIVERED, Item, Results, Stored
from instore.offline.naming import PLAIN_NAMES, Naming
from instore.offline.records import MadeResult, ResultRecords


class NotStored(NamedTuple):
    """Results that were made, and are not kept.

    Attributes:
        size: their bytes.
        results: their names.
    """

    size: int
    results: Sequence[MadeResult]


class Nowhere:
    """Nowhere; a `ListedDestination`."""

    folds_names = False

    def __init__(self, naming: Naming = PLAIN_NAMES) -> None:
        self.records = ResultRecords(naming)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held but the names that were taken."""
        self.records.close()

    def exists(self, name: str) -> bool:  # noqa: ARG002
        """Nothing is there."""
        return False

    def has_all(self, names: Sequence[str]) -> bool:
        """None is there."""
        return not names

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:  # noqa: ARG002
        """Count a result's bytes."""
        return sum([len(piece) async for piece in body])

    async def write_results(self, item: Item, results: Results) -> NotStored:
        """Count their bytes, and see whether they can have their names."""
        made = []
        async for head, body in results:
            name = self.records.claim(item.name, head.name)
            made.append(MadeResult(name, sum([len(piece) async for piece in body])))
        return NotStored(sum(result.size for result in made), made)

    async def skip(self, item: Item, reason: str) -> NotStored:  # noqa: ARG002
        """Nothing is noted."""
        return NotStored(0, ())

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Nothing is left to commit."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """Nothing is written."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)
