"""Results that are held until they are whole, where there is no room to hold them (no sockets)."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from instore.errors import StorageError, StorageFullError
from instore.http.bodies import Body
from instore.server.held import hold

PIECE = b"x" * (1 << 20)


class Pieces:
    """A stream of so many MiB."""

    drained = False

    def __init__(self, count: int) -> None:
        self._count = count

    async def take(self) -> bytes:
        self._count -= 1
        return PIECE if self._count >= 0 else b""


async def held(count: int, limit: int) -> bytes:
    body = await hold(Body(b"first", Pieces(count)), limit)
    return b"".join([batch async for batch in body.batches()]) if body.rest is not None else body.first


@pytest.mark.parametrize("count", [0, 3, 9, 20])
@pytest.mark.parametrize("limit", [1 << 20, 12 << 20, 64 << 20])
def test_a_result_is_the_same_wherever_it_is_held(count: int, limit: int) -> None:
    assert asyncio.run(held(count, limit)) == b"first" + PIECE * count


def test_without_a_folder_for_temporary_files_the_reason_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert len(asyncio.run(held(3, 64 << 20))) == len(b"first" + PIECE * 3)  # it fits into memory
    with pytest.raises(StorageError, match=r"can't be kept in a temporary file: No such .*; set TMPDIR to a folder"):
        asyncio.run(held(20, 64 << 20))


def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115 - hold closes it
    with pytest.raises(StorageFullError, match="No space left on device; set TMPDIR to a folder"):
        asyncio.run(held(20, 64 << 20))
