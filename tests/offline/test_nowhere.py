import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from instore.errors import AnswerError
from instore.offline.interfaces import Item, ItemState
from instore.offline.nowhere import Nowhere
from instore.offline.plan import make_plan
from tests.offline.support import fill


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_results_are_read_to_their_end_and_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    item = Item("a", ItemState.TODO, result="a")

    async def check() -> None:
        async with Nowhere() as destination:
            assert await destination.write(item, body(b"one", b"two", b""), "") == 6
            assert not destination.exists("a")
            await destination.flush()
            with pytest.raises(AnswerError):
                destination.delivered(item)

    asyncio.run(check())
    assert os.listdir() == []


def test_without_a_destination_everything_is_to_do(tmp_path: Path) -> None:
    fill(tmp_path, ["a", "b/c"])
    items = list(make_plan(str(tmp_path), None).items())
    assert [(item.name, item.state) for item in items] == [("a", ItemState.TODO), ("b/c", ItemState.TODO)]
