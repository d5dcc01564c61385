"""Small objects that go to a worker in groups: each has a result, or a failure, of its own."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from instore.offline.interfaces import JobOptions
from instore.offline.run import run, worker_command
from instore.offline.workers import WorkerProcesses
from tests.offline.support import Seen, fill, plan

ODD = """
import os
import signal
import time
from pathlib import Path

from instore import ETLServer

class Odd(ETLServer):
    def transform(self, data, path, etl_args):
        name = path.rpartition("/")[2]
        if name.startswith("bad-"):
            raise ValueError(f"{name} is bad")
        if name.startswith("kill-") or (name.startswith("once-") and not os.path.exists(etl_args)):
            Path(etl_args).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("large-"):
            return data * 300_000
        return data.upper()
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.py"
    path.write_text(ODD)
    return path


def put_through(odd: Path, source: Path, destination: Path, continue_on_error: bool = True, workers: int = 1) -> Seen:
    """A job with real workers."""
    seen = Seen()
    options = JobOptions(workers, str(odd.with_name("died")), continue_on_error)
    make_workers = partial(WorkerProcesses, worker_command(str(odd), "warning"))
    asyncio.run(run(plan(source, destination), make_workers, options, seen))
    return seen


def names(*odd: str, count: int = 300) -> list[str]:
    """So many names, with odd ones among them."""
    plain = [f"{number:04}" for number in range(count)]
    step = count // (len(odd) + 1)
    for number, name in enumerate(odd, 1):
        plain.insert(number * step, name)
    return plain


def fill_in_order(source: Path, objects: list[str]) -> dict[str, bytes]:
    """Objects that are found in this order; what their plain results are, by their names."""
    found = [f"{number:04}/{name}" for number, name in enumerate(objects)]
    fill(source, found)
    return {name: f"object {name}".encode().upper() for name in found}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_object_that_fails_in_a_group_fails_alone(tmp_path: Path, odd: Path, workers: int) -> None:
    expected = fill_in_order(tmp_path / "src", names("bad-1", "bad-2", "bad-3"))
    seen = put_through(odd, tmp_path / "src", tmp_path / "dst", workers=workers)
    bad = {name for name in expected if "bad-" in name}
    assert seen.errors().keys() == bad
    assert all("is bad" in error for error in seen.errors().values())
    assert contents(tmp_path / "dst") == {name: data for name, data in expected.items() if name not in bad}


def test_a_worker_that_dies_in_a_group_costs_nothing_but_another_worker(tmp_path: Path, odd: Path) -> None:
    expected = fill_in_order(tmp_path / "src", names("once-1"))
    seen = put_through(odd, tmp_path / "src", tmp_path / "dst")
    assert not seen.errors()
    assert contents(tmp_path / "dst") == expected
    assert any("another takes its place" in note for note in seen.notes)


def test_an_object_that_kills_its_worker_is_the_only_one_of_its_group_that_fails(tmp_path: Path, odd: Path) -> None:
    expected = fill_in_order(tmp_path / "src", names("kill-1", "kill-2"))
    seen = put_through(odd, tmp_path / "src", tmp_path / "dst")
    killers = {name for name in expected if "kill-" in name}
    assert seen.errors().keys() == killers
    assert all("twice while transforming it" in error for error in seen.errors().values())
    assert contents(tmp_path / "dst") == {name: data for name, data in expected.items() if name not in killers}


def test_a_job_that_stops_in_a_group_leaves_whole_results_and_the_same_again_does_the_rest(
    tmp_path: Path, odd: Path
) -> None:
    expected = fill_in_order(tmp_path / "src", names("bad-1"))
    (bad,) = (name for name in expected if "bad-" in name)
    put_through(odd, tmp_path / "src", tmp_path / "dst", continue_on_error=False)
    left = contents(tmp_path / "dst")
    assert 0 < len(left) < len(expected) - 1
    assert left.items() <= expected.items()
    again = put_through(odd, tmp_path / "src", tmp_path / "dst")
    assert sum(status == "done" for status in again.statuses().values()) == len(expected) - 1 - len(left)
    assert again.errors().keys() == {bad}
    assert contents(tmp_path / "dst") == {name: data for name, data in expected.items() if name != bad}


def test_a_large_result_of_a_small_object_comes_whole_between_those_of_its_group(tmp_path: Path, odd: Path) -> None:
    expected = fill_in_order(tmp_path / "src", names("large-1", "large-2", count=60))
    seen = put_through(odd, tmp_path / "src", tmp_path / "dst")
    assert not seen.errors()
    large = {name: f"object {name}".encode() * 300_000 for name in expected if "large-" in name}
    assert contents(tmp_path / "dst") == expected | large
