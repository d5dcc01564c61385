"""A job from its plan to its last result: what the command line runs."""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from instore.errors import NothingSelectedError
from instore.offline.chosen import NOTHING_SELECTED
from instore.offline.concurrency import within_file_limit
from instore.offline.engine import Engine, in_batches
from instore.offline.interfaces import AnyWorker, Item, ItemState, JobObserver, JobOptions, RemembersOrigins, Workers
from instore.offline.members import MemberOptions, told_of_members
from instore.offline.output import Printed
from instore.offline.plan import Plan
from instore.offline.settings import FailureLimit
from instore.protocol.environment import (
    AIS_TARGET_URL,
    INSTORE_ARGS,
    INSTORE_FILE_ROOTS,
    INSTORE_FRAMES,
    INSTORE_SPOOL,
    NO_TARGET,
)
from instore.system.threads import to_its_end

_MOMENT = 0.1  # seconds after which the job begins, and is counted on beside it
_HELD = 1.0  # seconds for which a count halts
_FORGETS = (
    "DST's file system keeps no extended attributes, so it isn't known what made its results: only those of newer "
    "objects are made again"
)


class MakeWorkers(Protocol[AnyWorker]):
    """Makes the workers of a job."""

    def __call__(
        self, environment: Mapping[str, str], printed: Printed, /
    ) -> contextlib.AbstractAsyncContextManager[Workers[AnyWorker]]:
        """Workers with that environment; `printed` hears what they print."""


_NO_MEMBERS = MemberOptions()


async def run(
    plan: Plan,
    make_workers: MakeWorkers[Any],
    options: JobOptions,
    observer: JobObserver,
    failure_limit: FailureLimit | None = None,
    members: MemberOptions = _NO_MEMBERS,
) -> bool:
    """Put what is to do through workers. What has been written when it ends, however it ends, is committed.

    There is always a worker, also where nothing is to do: the class is always loaded, and what is wrong with it said.
    A source that takes long to count is counted while the job runs, unless the job depends on the count.
    """
    async with plan.destination:
        if plan.update and isinstance(plan.destination, RemembersOrigins) and not plan.destination.remembers:
            observer.noted(_FORGETS)
        hold = None if _needs_count(plan, failure_limit) else _Hold(options.workers)
        async with _counting(plan, observer, hold) as counting:
            if hold is None:
                await asyncio.wait({counting})
            else:
                await hold.reached(counting)
            todo = counting.result() if counting.done() else options.workers
            most_failures = None if failure_limit is None else failure_limit.of(todo)
            count = max(1, min(options.workers, todo))
            options = within_file_limit(replace(options, workers=count, most_failures=most_failures))
            observer.started()
            with told_of_members(members, observer) as variables:
                environment = {**_environment(plan.source.file_root, options.etl_args), **variables}
                items = plan.items() if hold is None else hold.job.of(plan.items())
                async with make_workers(environment, observer.printed) as workers:
                    is_complete = await Engine(
                        options, items, plan.source, workers, plan.destination, observer, plan.is_local
                    ).run()
            if hold is not None:
                hold.end()
            if is_complete:
                await counting
            return is_complete


async def load_class(plan: Plan, make_workers: MakeWorkers[Any], observer: JobObserver, etl_args: str) -> None:
    """Have one worker load the class, and end it: `ConfigurationError` if it can't."""
    async with make_workers(_environment(plan.source.file_root, etl_args), observer.printed) as workers:
        await workers.start()


def _needs_count(plan: Plan, failure_limit: FailureLimit | None) -> bool:
    """Whether nothing may be done before all objects have been seen."""
    is_share = failure_limit is not None and failure_limit.is_share
    return plan.update or bool(plan.naming.extensions) or is_share


class _Seen:
    """What has been seen of the objects."""

    def __init__(
        self, states: Mapping[ItemState, int] | None = None, outdated: Mapping[str, int] | None = None
    ) -> None:
        self.states = Counter(states or {})
        self.outdated = Counter(outdated or {})

    def of(self, items: Iterator[Item]) -> Iterator[Item]:
        """Items, each of which is noted."""
        for item in items:
            self.states[item.state] += 1
            if item.outdated:
                self.outdated[item.outdated] += 1
            yield item


class _Hold:
    """Where the count of many objects halts, so that it doesn't keep the first of them waiting.

    Args:
        enough: objects of which each worker has one.

    Attributes:
        job: what the job has seen itself. Where the count goes on, some of that is done, and would count as there.
    """

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.job = _Seen()
        self._is_reached = asyncio.Event()
        self._is_over = asyncio.Event()

    async def reached(self, counting: "asyncio.Task[int]") -> None:
        """Wait a moment for the count, or until there is enough to begin with."""
        here = asyncio.ensure_future(self._is_reached.wait())
        await asyncio.wait({counting, here}, timeout=_MOMENT, return_when=asyncio.FIRST_COMPLETED)
        here.cancel()

    async def halt(self) -> None:
        """Let the job begin, and end if it is short."""
        self._is_reached.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), _HELD)

    def end(self) -> None:
        """The job is over."""
        self._is_over.set()


@contextlib.asynccontextmanager
async def _counting(plan: Plan, observer: JobObserver, hold: _Hold | None) -> AsyncIterator["asyncio.Task[int]"]:
    """The count of the objects to do, under way until the context ends."""
    counting = asyncio.create_task(_count(plan, observer, hold))
    try:
        yield counting
    finally:
        counting.cancel()
        await to_its_end(asyncio.ensure_future(asyncio.wait({counting})))
        if not counting.cancelled():
            counting.exception()  # raised above, if it was waited for


async def _count(plan: Plan, observer: JobObserver, hold: _Hold | None) -> int:
    """How many objects there are to do, which is told. What is there and outdated is said."""
    seen = _Seen()
    items = plan.checked_items() if hold is None else plan.items()
    async with contextlib.aclosing(in_batches(seen.of(items))) as batches:
        async for _ in batches:
            if hold is not None and seen.states[ItemState.TODO] >= hold.enough:
                await hold.halt()
                seen = await _rest_counted(plan, hold.job)
                break
    check_selection(plan, seen.states)
    for why, count in seen.outdated.items():
        what = ", and are made again" if plan.update else "; they stay as they are: --update makes them again"
        observer.noted(f"{count} results in DST were made {why}{what}")
    observer.counted(seen.states[ItemState.TODO])
    return seen.states[ItemState.TODO]


async def _rest_counted(plan: Plan, job: _Seen) -> _Seen:
    """All objects: what the job has seen of them, and the others."""
    seen = _Seen(job.states, job.outdated)
    async for _ in in_batches(seen.of(plan.items(seen.states.total()))):
        pass
    return seen


def check_selection(plan: Plan, counts: Mapping[ItemState, int]) -> None:
    """Raise if the plan's selection stands for nothing."""
    if plan.selection and not any(count for state, count in counts.items() if state is not ItemState.SKIPPED):
        raise NothingSelectedError(NOTHING_SELECTED.format(plan.selection))


def worker_command(transform: str, log_level: str) -> list[str]:
    """The command line of a worker, up to the path of its socket."""
    return [sys.executable, "-P", "-m", "instore", "serve", transform, "--log-level", log_level, "--uds"]


def _environment(file_root: str, etl_args: str) -> Mapping[str, str]:
    """Ours, with the arguments of all objects, and leave to read the files below a folder, if there is one."""
    # A worker's streams are not held: a result that breaks off is seen here, and nothing of it kept.
    ours = {AIS_TARGET_URL: NO_TARGET, INSTORE_SPOOL: "0", INSTORE_FRAMES: "true", **os.environ, INSTORE_ARGS: etl_args}
    if not file_root:
        return ours
    # Colons separate the variable's entries: a folder with one in its path is reached through the nearest without.
    before, colon, _ = file_root.partition(":")
    return {**ours, INSTORE_FILE_ROOTS: os.path.dirname(before) if colon else file_root}
