"""A job over real folders with fake workers, and what came of it."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from instore.offline.engine import Engine, ItemResult
from instore.offline.folder_destination import ResultFolder
from instore.offline.folder_source import FolderOrder, FolderPlan
from instore.offline.workers import WorkerProcesses

FAKE = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]


@dataclass
class Seen:
    """An observer that remembers."""

    outcomes: dict[str, ItemResult] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bytes: int = 0

    def settled(self, outcome: ItemResult) -> None:
        assert outcome.item.name not in self.outcomes
        self.outcomes[outcome.item.name] = outcome

    def received(self, size: int) -> None:
        self.bytes += size

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def errors(self) -> dict[str, str]:
        return {name: outcome.error for name, outcome in self.outcomes.items() if outcome.error}

    def verdicts(self) -> dict[str, str]:
        return {name: outcome.status for name, outcome in self.outcomes.items()}


def plan(
    source: Path,
    destination: Path,
    prefix: str = "",
    extensions: tuple[str, ...] = (),
    prepend: str = "",
    overwrite: bool = False,
) -> FolderPlan:
    return FolderPlan.make(str(source), str(destination), prefix, extensions, prepend, overwrite)


async def arun(what: FolderPlan, seen: Seen, order: FolderOrder, environment: Mapping[str, str]) -> bool:
    async with (
        ResultFolder(what.destination) as results,
        WorkerProcesses(FAKE, {**os.environ, **environment}) as workers,
    ):
        return await Engine(order, what.items(), workers, results, seen).run()


def run(
    what: FolderPlan,
    workers: int = 1,
    etl_args: str = "",
    continue_on_error: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Seen:
    seen = Seen()
    order = FolderOrder(what.bucket, etl_args, workers, continue_on_error)
    asyncio.run(arun(what, seen, order, environment or {}))
    return seen


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"object {name}".encode("utf-8", "surrogateescape"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
