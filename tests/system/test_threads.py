import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from instore.system.threads import in_thread


def test_it_gives_what_the_function_gives_and_raises_what_it_raises() -> None:
    async def both() -> None:
        with ThreadPoolExecutor(1) as pool:
            assert await in_thread(pool, divmod, 7, 2) == (3, 1)
            with pytest.raises(ZeroDivisionError):
                await in_thread(pool, divmod, 7, 0)

    asyncio.run(both())


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_cancelled_waits_for_the_thread_however_it_ends(fails: bool) -> None:
    began, may_end = Event(), Event()
    ended = []

    def work() -> None:
        began.set()
        may_end.wait()
        ended.append(True)
        if fails:
            raise ValueError

    async def cancelled_twice() -> None:
        with ThreadPoolExecutor(1) as pool:
            task = asyncio.ensure_future(in_thread(pool, work))
            await asyncio.to_thread(began.wait)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
                assert not task.done()
            may_end.set()
            await asyncio.wait({task})
            assert ended
            assert task.cancelled()

    asyncio.run(cancelled_twice())


def test_what_waits_for_a_thread_when_it_is_cancelled_never_begins() -> None:
    busy = Event()
    begun: list[bool] = []

    async def second_in_line() -> None:
        with ThreadPoolExecutor(1) as pool:
            first = asyncio.ensure_future(in_thread(pool, busy.wait))
            second = asyncio.ensure_future(in_thread(pool, begun.append, True))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait({second})
            assert second.cancelled()
            assert not first.done()
            busy.set()
            await first

    asyncio.run(second_in_line())
    assert not begun


def test_who_is_cancelled_may_hurry_the_thread() -> None:
    began, may_end = Event(), Event()

    def work() -> None:
        began.set()
        may_end.wait()

    async def hurried() -> None:
        with ThreadPoolExecutor(1) as pool:
            task = asyncio.ensure_future(in_thread(pool, work, on_cancel=may_end.set))
            await asyncio.to_thread(began.wait)
            assert not may_end.is_set()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

    asyncio.run(hurried())
