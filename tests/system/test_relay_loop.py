"""A loop that is led by turns: short work between its turns, and no work that holds it up."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from instore.system.relay_loop import Lead, RelayLoop

PATIENCE = 60.0


class Worker:
    """A thread that leads, and does what it is given between two turns."""

    def __init__(self, loop: RelayLoop) -> None:
        self.loop = loop
        self.led: list[Lead] = []
        self.times_taken = 0
        self.leads_on = True
        self._work: list[Callable[[], object]] = []
        self._leads: SimpleQueue[Lead | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (lead := self._leads.get()) is not None:
            lead.run(self._do)

    def _do(self) -> None:
        while self._work:
            self._work.pop()()

    def submit(self, work: Callable[[], object]) -> None:
        self._work.append(work)
        self.loop.pause()

    def start(self, lead: Lead) -> None:
        self.led.append(lead)
        self._leads.put(lead)

    def settle(self) -> bool:
        return self.leads_on

    def taken(self) -> None:
        self.times_taken += 1

    @property
    def leads(self) -> bool:
        return threading.current_thread() is self.thread

    async def led_by_it(self) -> None:
        """Wait until it leads."""
        self.loop.lend(self)
        await until(lambda: self.leads)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - the loop is what is tested
        await asyncio.sleep(0.001)


def run(test: Callable[[Worker], object]) -> Worker:
    workers: list[Worker] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RelayLoop)
        workers.append(Worker(loop))
        await asyncio.wait_for(test(workers[0]), PATIENCE)  # type: ignore[arg-type]

    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        runner.run(main())
    return workers[0]


def test_short_work_is_done_between_two_turns_by_the_thread_that_leads() -> None:
    threads: list[threading.Thread] = []

    async def test(worker: Worker) -> None:
        await worker.led_by_it()
        while len(threads) < 3:
            worker.submit(lambda: threads.append(threading.current_thread()))
            await asyncio.sleep(0.001)
            if not worker.leads:  # a busy machine may have held it up
                await worker.led_by_it()

    worker = run(test)
    assert set(threads) == {worker.thread}


def test_work_that_does_not_end_holds_up_nothing() -> None:
    free = threading.Event()
    served: list[threading.Thread] = []

    async def test(worker: Worker) -> None:
        await worker.led_by_it()
        worker.submit(lambda: free.wait(PATIENCE))
        for _ in range(20):
            await asyncio.sleep(0.005)
            served.append(threading.current_thread())
        free.set()

    worker = run(test)
    assert worker.times_taken >= 1
    assert served[-1] is threading.current_thread()


def test_a_lead_that_was_taken_is_lost_for_good() -> None:
    free = threading.Event()

    async def test(worker: Worker) -> None:
        await worker.led_by_it()
        worker.submit(lambda: free.wait(PATIENCE))
        await until(lambda: worker.times_taken)
        free.set()
        await asyncio.sleep(0.05)
        assert not worker.leads
        assert not worker.led[-1].take()
        await worker.led_by_it()  # and can be lent again

    assert len(run(test).led) >= 2


def test_a_lead_that_nobody_takes_up_comes_back() -> None:
    class Absent(Worker):
        def start(self, lead: Lead) -> None:
            self.led.append(lead)

    async def test(worker: Worker) -> None:
        absent = Absent(worker.loop)
        worker.loop.lend(absent)
        await until(lambda: absent.times_taken)
        absent.led[0].run(lambda: None)  # too late
        assert not absent.led[0].over

    run(test)


def test_a_worker_gives_the_lead_back() -> None:
    async def test(worker: Worker) -> None:
        await worker.led_by_it()
        worker.leads_on = False
        worker.submit(lambda: None)
        await until(lambda: not worker.leads)

    run(test)


def test_what_ends_the_loop_ends_it_whoever_leads() -> None:
    async def test(worker: Worker) -> None:
        await worker.led_by_it()

        def leave() -> None:
            raise SystemExit(7)

        worker.loop.call_soon(leave)
        await asyncio.sleep(PATIENCE)

    with pytest.raises(SystemExit):
        run(test)
