"""Results that are held until they are whole, where there is no room to hold them (no sockets)."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from instore.errors import ClientGoneError, InstoreError, StorageError, StorageFullError
from instore.server.held import hold
from instore.server.pipes import OutputPipe

PIECE = b"x" * (1 << 20)


def make(pipe: OutputPipe, count: int) -> None:
    """A thread that makes so many MiB."""
    try:
        for _ in range(count):
            pipe.put(PIECE)
        pipe.finish()
    except InstoreError as error:
        pipe.fail(error)


async def held(count: int, limit: int) -> bytes:
    pipe = OutputPipe(1)
    making = asyncio.create_task(asyncio.to_thread(make, pipe, count))
    try:
        body = await hold(b"first", pipe, limit)
        whole = b"".join([batch async for batch in body.batches()]) if body.rest is not None else body.first
        assert body.length in (None, len(whole))
    finally:
        pipe.abandon(ClientGoneError("the test is over"))
        await making
    return whole


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
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: open("/dev/full", "w+b", buffering))  # noqa: SIM115 - hold closes it
    with pytest.raises(StorageFullError, match="No space left on device; set TMPDIR to a folder"):
        asyncio.run(held(20, 64 << 20))
