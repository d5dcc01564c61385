"""A job from its plan to its last result: what the command line runs."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from instore.offline.concurrency import within_file_limit
from instore.offline.engine import Engine, in_batches
from instore.offline.interfaces import ItemState, JobObserver, JobOptions
from instore.offline.plan import Plan
from instore.offline.workers import WorkerProcesses
from instore.protocol.environment import AIS_TARGET_URL, INSTORE_FILE_ROOTS, INSTORE_FRAMES, INSTORE_SPOOL, NO_TARGET


async def run(plan: Plan, command: Sequence[str], options: JobOptions, observer: JobObserver) -> bool:
    """Put what is to do through workers. What has been written when it ends, however it ends, is committed."""
    async with plan.destination:
        todo = await _count(plan)
        options = within_file_limit(replace(options, workers=min(options.workers, todo)))
        items = plan.items()
        if not todo:  # and so no worker: what has come since the count is the next command's
            items = (item for item in items if item.state is not ItemState.TODO)
        observer.started(todo)
        environment = _environment(plan.source.file_root)
        async with WorkerProcesses(command, environment, observer.printed) as workers:
            return await Engine(options, items, plan.source, workers, plan.destination, observer).run()


async def _count(plan: Plan) -> int:
    """How many objects there are to do."""
    todo = 0
    async for batch in in_batches(plan.checked_items()):
        todo += sum(item.state is ItemState.TODO for item in batch)
    return todo


def worker_command(transform: str, log_level: str) -> list[str]:
    """The command line of a worker, up to the path of its socket."""
    return [sys.executable, "-P", "-m", "instore", "serve", transform, "--log-level", log_level, "--uds"]


def _environment(file_root: str) -> Mapping[str, str]:
    """Ours, with leave to read the files below a folder, if there is one."""
    # A worker's streams are not held: a result that breaks off is seen here, and nothing of it kept.
    ours = {AIS_TARGET_URL: NO_TARGET, INSTORE_SPOOL: "0", INSTORE_FRAMES: "true", **os.environ}
    if not file_root:
        return ours
    # Colons separate the variable's entries: a folder with one in its path is reached through the nearest without.
    before, colon, _ = file_root.partition(":")
    return {**ours, INSTORE_FILE_ROOTS: os.path.dirname(before) if colon else file_root}
