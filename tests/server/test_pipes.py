"""Bytes between the loop and a thread: in order, bounded, and ended once (no sockets)."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from instore.errors import ClientGoneError, InstoreError
from instore.server.pipes import InputPipe, OutputPipe

PIECES = [b"", b"a", b"bc" * 700, b"", b"d" * 5000, b"e"]
WHOLE = b"".join(PIECES)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test, for half a minute at most."""
    asyncio.run(asyncio.wait_for(test(), 30))


def read(pipe: InputPipe, most: int) -> bytes:
    """All that comes, `most` bytes at a time."""
    came, buffer = b"", bytearray(most)
    while size := pipe.readinto(memoryview(buffer)):
        came += buffer[:size]
    return came


@pytest.mark.parametrize("most", [1, 7, 1400, 1 << 16])
@pytest.mark.parametrize("limit", [1, 1000, 1 << 20])
def test_an_object_arrives_whole_and_in_order(most: int, limit: int) -> None:
    async def test() -> None:
        pipe = InputPipe(limit)
        reading = asyncio.create_task(asyncio.to_thread(read, pipe, most))
        for piece in PIECES:
            await pipe.put(piece)
        pipe.finish()
        assert await reading == WHOLE

    run(test)


def test_who_is_too_fast_waits_until_the_thread_has_taken() -> None:
    async def test() -> None:
        pipe = InputPipe(limit=4)
        putting = asyncio.create_task(pipe.put(b"catfish"))
        await asyncio.sleep(0.05)
        assert not putting.done()
        buffer = bytearray(2)
        assert pipe.readinto(memoryview(buffer)) == 2
        await asyncio.sleep(0.05)
        assert not putting.done()  # five are left
        assert pipe.readinto(memoryview(buffer)) == 2
        await putting

    run(test)


def test_an_object_that_broke_off_is_an_error_and_not_an_end() -> None:
    async def test() -> None:
        pipe = InputPipe()
        await pipe.put(b"half of it")
        pipe.fail(InstoreError("the client left"))
        for _ in range(2):
            with pytest.raises(InstoreError, match="the client left"):
                await asyncio.to_thread(read, pipe, 3)

    run(test)


def test_a_failure_behind_the_end_changes_nothing() -> None:
    async def test() -> None:
        pipe = InputPipe()
        await pipe.put(b"all of it")
        pipe.finish()
        pipe.fail(InstoreError("too late"))
        assert await asyncio.to_thread(read, pipe, 3) == b"all of it"

    run(test)


def test_a_reader_that_leaves_holds_nobody_up() -> None:
    async def test() -> None:
        pipe = InputPipe(limit=1)
        putting = asyncio.create_task(pipe.put(b"catfish"))
        await asyncio.sleep(0)
        await asyncio.to_thread(pipe.close)
        await putting
        await pipe.put(b"more that nobody reads")

    run(test)


async def taken(pipe: OutputPipe) -> bytes:
    """All that comes."""
    came = b""
    while batch := await pipe.take():
        came += batch
    return came


@pytest.mark.parametrize("batch", [1, 1000, 1 << 20])
def test_a_result_arrives_whole_and_in_order(batch: int) -> None:
    async def test() -> None:
        pipe = OutputPipe(batch)

        def make() -> None:
            for piece in PIECES:
                pipe.put(piece)
            pipe.finish()

        making = asyncio.create_task(asyncio.to_thread(make))
        assert await taken(pipe) == WHOLE
        assert pipe.drained
        await making

    run(test)


def test_small_pieces_travel_together() -> None:
    async def test() -> None:
        pipe = OutputPipe(batch=100)

        def make() -> None:
            for _ in range(250):
                pipe.put(b"x")
            pipe.finish()

        await asyncio.to_thread(make)
        assert [len(await pipe.take()) for _ in range(4)] == [100, 100, 50, 0]

    run(test)


def test_a_transform_that_is_too_fast_waits() -> None:
    async def test() -> None:
        pipe, put = OutputPipe(batch=1), []

        def make() -> None:
            for number in range(10):
                pipe.put(b"%d" % number)
                put.append(number)
            pipe.finish()

        making = asyncio.create_task(asyncio.to_thread(make))
        await asyncio.sleep(0.1)
        assert put == [0, 1, 2]
        assert await taken(pipe) == b"0123456789"
        await making

    run(test)


def test_a_result_that_broke_off_is_an_error_and_not_an_end() -> None:
    async def test() -> None:
        pipe = OutputPipe(batch=1)

        def make() -> None:
            pipe.put(b"half of it")
            pipe.fail(ValueError("upside down"))

        await asyncio.to_thread(make)
        with pytest.raises(ValueError, match="upside down"):
            await taken(pipe)
        assert not pipe.drained

    run(test)


def test_a_transform_whose_result_nobody_takes_is_ended() -> None:
    async def test() -> None:
        pipe, stopped = OutputPipe(batch=1), threading.Event()

        def make() -> None:
            try:
                while True:
                    pipe.put(b"more")
            except ClientGoneError:
                stopped.set()

        making = asyncio.create_task(asyncio.to_thread(make))
        assert await pipe.take() == b"more"
        pipe.abandon(ClientGoneError("the client left"))
        await making
        assert stopped.is_set()
        with pytest.raises(ClientGoneError, match="the client left"):
            await pipe.take()

    run(test)
