"""Results with names and metadata, several of an object, and none: jobs of real classes over folders."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instore import ETLServer, Result, Skip
from instore.errors import NameConflictError
from instore.offline.folder_destination import PARTIAL, FolderDestination
from instore.offline.interfaces import Item, ItemState, JobOptions
from instore.offline.maker import Maker
from instore.offline.own_process import OwnProcess
from instore.offline.plan import make_plan
from instore.offline.records import RECORDS
from instore.offline.run import run
from instore.protocol.environment import AIS_TARGET_URL, NO_TARGET
from instore.webserver.base_etl_server import application_of
from tests.offline.support import Seen, plan, several, tree

FIRST, SECOND = Maker("one", "-"), Maker("another", "-")


class Letters(ETLServer):
    """One result for each letter of an object's text; an object without any is skipped."""

    def transform_many(self, data: bytes | str, path: str, etl_args: Any) -> Iterator[Result]:
        assert isinstance(data, bytes)
        name = path.partition("/")[2]
        if not data:
            raise Skip("it has no letters")
        for letter in data.decode():
            if letter == "!":
                raise ValueError("a mark")
            yield Result(letter.encode(), name=f"{letter}/{name}" if etl_args != "flat" else letter)


class Renamed(ETLServer):
    """Results are called as the objects' texts say; plain results where these say nothing."""

    def transform(self, data: bytes | str, path: str, etl_args: Any) -> bytes | Result:
        assert isinstance(data, bytes)
        return Result(data, name=data.decode(), metadata={"of": path}) if data else b"plain"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ) | {AIS_TARGET_URL: NO_TARGET})


def job(cls: type[ETLServer], source: Path, destination: Path, args: str = "", **options: Any) -> Seen:
    """Put a folder through a class in this process, and see what came of each object."""
    seen = Seen()
    what = plan(source, destination, **options)
    make = partial(OwnProcess, lambda: application_of(cls()))
    asyncio.run(run(what, make, JobOptions(etl_args=args, continue_on_error=True, slots=1), seen))
    return seen


def texts(folder: Path, objects: dict[str, str]) -> Path:
    for name, text in objects.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def results(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if not name.startswith((RECORDS, PARTIAL))}


def test_an_object_has_all_of_its_results_and_a_failed_one_has_none(tmp_path: Path) -> None:
    source = texts(tmp_path / "src", {"ab": "ab", "d/c": "c", "bad": "xy!", "none": ""})
    seen = job(Letters, source, tmp_path / "dst")
    assert results(tmp_path / "dst") == {"a/ab": b"a", "b/ab": b"b", "c/d/c": b"c"}
    assert seen.statuses() == {"ab": "done", "d/c": "done", "bad": "failed", "none": "skipped"}
    assert [(made.name, made.size) for made in seen.results["ab"].results] == [("a/ab", 1), ("b/ab", 1)]
    assert (seen.results["ab"].result_bytes, seen.results["none"].item.reason) == (2, "it has no letters")
    assert seen.errors() == {"bad": "the transform of 'src/bad' failed: ValueError: a mark"}


def test_another_run_makes_only_what_is_not_done(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"ab": "ab", "none": ""}), tmp_path / "dst"
    job(Letters, source, destination)
    texts(source, {"new": "n"})
    seen = job(Letters, source, destination)
    assert seen.statuses() == {"ab": "already there", "new": "done", "none": "skipped"}
    assert (seen.todo, seen.results["none"].item.reason) == (1, "it has no letters")
    (destination / "a/ab").unlink()
    seen = job(Letters, source, destination)
    assert seen.statuses() == {"ab": "done", "new": "already there", "none": "skipped"}
    assert results(destination) == {"a/ab": b"a", "b/ab": b"b", "n/new": b"n"}


def test_what_is_made_again_leaves_no_results_of_before(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"x": "ab", "y": "", "z": "z"}), tmp_path / "dst"
    job(Letters, source, destination, maker=FIRST)
    texts(source, {"x": "bc", "y": "y"})
    seen = job(Letters, source, destination, maker=FIRST)
    assert seen.statuses() == {"x": "already there", "y": "skipped", "z": "already there"}
    assert seen.notes == [
        "2 results in DST were made of objects that have changed since; "
        "they stay as they are: --update makes them again"
    ]
    seen = job(Letters, source, destination, maker=FIRST, update=True)
    assert seen.statuses() == {"x": "done", "y": "done", "z": "already there"}
    assert results(destination) == {"b/x": b"b", "c/x": b"c", "y/y": b"y", "z/z": b"z"}
    assert not (destination / "a").exists()  # nor the folder that was for it alone
    seen = job(Letters, source, destination, maker=SECOND, update=True)
    assert set(seen.statuses().values()) == {"done"}
    seen = job(Letters, source, destination, maker=SECOND, overwrite=True)
    assert set(seen.statuses().values()) == {"done"}
    assert results(destination) == {"b/x": b"b", "c/x": b"c", "y/y": b"y", "z/z": b"z"}


def test_a_result_by_its_own_name_takes_the_place_of_the_plain_one_and_back(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"x": ""}), tmp_path / "dst"
    job(Renamed, source, destination, maker=FIRST)
    assert results(destination) == {"x": b"plain"}
    texts(source, {"x": "named"})
    job(Renamed, source, destination, maker=FIRST, update=True)
    assert results(destination) == {"named": b"named"}
    assert json.loads(os.getxattr(destination / "named", "user.instore.metadata")) == {"of": "src/x"}
    texts(source, {"x": ""})
    job(Renamed, source, destination, maker=FIRST, update=True)
    assert results(destination) == {"x": b"plain"}
    assert job(Renamed, source, destination, maker=FIRST).statuses() == {"x": "already there"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_objects_that_want_one_name_are_both_named(tmp_path: Path, overwrite: bool) -> None:
    source, destination = texts(tmp_path / "src", {"x": "same", "y": "same"}), tmp_path / "dst"
    seen = job(Renamed, source, destination, overwrite=overwrite)
    assert seen.errors() == {"y": "y and x would both have a result that is called same"}
    assert results(destination) == {"same": b"same"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("objects", "refused"), [({"a": "b", "b": ""}, "b"), ({"a": "", "b": "a"}, "b")])
def test_a_name_that_is_a_plain_results_is_refused(
    tmp_path: Path, objects: dict[str, str], refused: str, overwrite: bool
) -> None:
    source, destination = texts(tmp_path / "src", objects), tmp_path / "dst"
    seen = job(Renamed, source, destination, overwrite=overwrite)
    assert list(seen.errors()) == [refused]
    assert len(results(destination)) == 1
    if not overwrite:
        assert list(job(Renamed, source, destination).errors()) == [refused]


def test_what_goes_before_names_goes_before_these_too_and_jobs_are_kept_apart_by_it(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"x": "ab", "y": ""}), tmp_path / "dst"
    job(Letters, source, destination, prepend="one/")
    seen = job(Letters, source, destination, prepend="two-")
    assert seen.statuses() == {"x": "done", "y": "skipped"}
    assert set(results(destination)) == {"one/a/x", "one/b/x", "two-a/x", "two-b/x"}
    assert job(Letters, source, destination, prepend="one/").statuses() == {"x": "already there", "y": "skipped"}


def test_a_check_finds_what_a_job_would_and_writes_nothing(tmp_path: Path) -> None:
    source = texts(tmp_path / "src", {"x": "ab", "y": "bc", "z": ""})
    seen = Seen()
    what = make_plan(str(source), None)
    make = partial(OwnProcess, lambda: application_of(Letters()))
    asyncio.run(run(what, make, JobOptions(etl_args="flat", continue_on_error=True, slots=1), seen))
    assert seen.statuses() == {"x": "done", "y": "failed", "z": "skipped"}
    assert seen.errors() == {"y": "y and x would both have a result that is called b"}
    assert {path.name for path in tmp_path.iterdir()} == {"src"}


def test_a_job_in_this_process_leaves_its_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTORE_MEMBERS", "*.jpg")
    monkeypatch.delenv("INSTORE_MEMBERS_LOG", raising=False)
    before = dict(os.environ)

    async def enter() -> None:
        others = {"INSTORE_MEMBERS": "*.txt", "INSTORE_MEMBERS_LOG": "log"}
        async with OwnProcess(lambda: application_of(Letters()), others):
            assert dict(os.environ) == {**before, **others}

    asyncio.run(enter())
    assert dict(os.environ) == before


def test_records_that_a_full_disk_has_torn_are_left_out(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"x": "x", "y": "y"}), tmp_path / "dst"
    job(Letters, source, destination)
    file = destination / RECORDS / "whole.jsonl"
    file.write_bytes(file.read_bytes() + b'{"object": "z", "sta')
    texts(source, {"w": "w"})
    assert job(Letters, source, destination).statuses() == {"w": "done", "x": "already there", "y": "already there"}
    assert set(job(Letters, source, destination).statuses().values()) == {"already there"}


def test_records_that_are_mostly_replaced_are_written_anew(tmp_path: Path) -> None:
    source, destination = texts(tmp_path / "src", {"x": "x"}), tmp_path / "dst"
    job(Letters, source, destination)
    file = destination / RECORDS / "whole.jsonl"
    file.write_bytes(file.read_bytes() * 2000)
    (destination / RECORDS / "part-1-of-2.jsonl").write_bytes(b"")
    assert job(Letters, source, destination).statuses() == {"x": "already there"}
    assert len(file.read_bytes().splitlines()) == 1
    assert os.listdir(destination / RECORDS) == ["whole.jsonl"]
    assert job(Letters, source, destination).statuses() == {"x": "already there"}


@pytest.mark.parametrize(
    "moved", [pytest.param(0, marks=pytest.mark.whole), 1, pytest.param(2, marks=pytest.mark.whole)]
)
def test_what_a_kill_has_left_between_two_results_is_finished_by_the_next_job(tmp_path: Path, moved: int) -> None:
    """The kill comes when so many of two results have their names."""
    source, destination = texts(tmp_path / "src", {"x": "ab"}), tmp_path / "dst"
    code = f"""
import os, sys
from instore.offline import folder_destination
from tests.offline.test_results import Letters, job
from pathlib import Path
move, calls = folder_destination.FolderDestination._move, []
def dying(*args):
    if len(calls) == {moved}:
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    calls.append(move(*args))
def late(*args):
    os.kill(os.getpid(), {int(signal.SIGKILL)})
folder_destination.FolderDestination._move = dying
if {moved} == 2:
    folder_destination.FolderDestination._remove_results = late
os.environ[{AIS_TARGET_URL!r}] = {NO_TARGET!r}
job(Letters, Path({str(source)!r}), Path({str(destination)!r}))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(results(destination)) == moved
    assert job(Letters, source, destination).statuses() == {"x": "already there"}
    assert results(destination) == {"a/x": b"a", "b/x": b"b"}


NAMES = st.sampled_from(["", "p", "q", "r/s", "x0", "x1"])
STEPS = st.lists(st.tuples(st.integers(0, 3), st.lists(NAMES, max_size=3, unique=True)), max_size=12)


@given(STEPS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_is_one_objects_whatever_becomes_of_them(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, list[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("records")
    owners: dict[str, str] = {}
    asyncio.run(_claim(folder, steps, owners))
    again = FolderDestination(str(folder)).records
    assert {name: again.owner(name) for name in owners} == owners
    assert set(results(folder)) == set(owners)


async def _claim(folder: Path, steps: list[tuple[int, list[str]]], owners: dict[str, str]) -> None:
    async with FolderDestination(str(folder), overwrite=True) as destination:
        for number, names in steps:
            name = f"x{number}"
            item = Item(name, ItemState.TODO, result=name)
            wanted = {one or name for one in names}
            try:
                written = await destination.write_results(item, several(*((one, (b"-",)) for one in names)))
            except NameConflictError:
                assert any(owners.get(one, name) != name for one in wanted)
                continue
            assert all(owners.get(one, name) == name for one in wanted)
            for one in [one for one, owner in owners.items() if owner == name]:
                del owners[one]
            error = (await destination.commit([(written, "")]))[0]
            assert error == ""
            owners.update(dict.fromkeys(wanted, name))


def committed(destination: Path) -> int:
    """How many results have their names by now, beside a command that gives them."""
    return sum(len(os.listdir(place)) for number in range(3) if (place := destination / str(number)).is_dir())


SLOWLY = """
import os, time
from instore import ETLServer, Result, Skip

class Slowly(ETLServer):
    def transform_many(self, data, path, etl_args):
        if self.object.name.endswith("7"):
            raise Skip("a seven")
        for number in range(3):
            time.sleep(0.003)
            yield Result(data * 10, name=f"{number}/{self.object.name}")
"""


@pytest.mark.whole
@pytest.mark.parametrize("part", [(), ("--part", "0/1")])
def test_a_command_that_is_killed_again_and_again_has_all_results_of_its_objects_in_the_end(
    tmp_path: Path, part: tuple[str, ...]
) -> None:
    source, destination = tmp_path / "src", tmp_path / "dst"
    texts(source, {f"x{number:03}": f"object {number}" for number in range(120)})
    (tmp_path / "slowly.py").write_text(SLOWLY)
    command = [sys.executable, "-m", "instore", "transform", str(tmp_path / "slowly.py"), str(source), str(destination)]
    done: dict[str, int] = {}
    for _ in range(4):
        process = subprocess.Popen([*command, "--workers", "2", *part], stderr=subprocess.DEVNULL)
        wanted = len(done) + 20
        while process.poll() is None and committed(destination) < wanted:
            time.sleep(0.005)
        process.kill()
        process.wait()
        now = {name: (destination / name).stat().st_ino for name in results(destination)}
        assert {name: now.get(name) for name in done} == done  # nothing is made twice
        done = now
    ended = subprocess.run([*command, "--workers", "2", *part], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    made = {
        f"{number}/{path.name}": path.read_bytes() * 10
        for path in source.iterdir()
        for number in range(3)
        if not path.name.endswith("7")
    }
    assert results(destination) == made
    assert {name: (destination / name).stat().st_ino for name in done} == done
    assert "12 skipped" in ended.stderr
