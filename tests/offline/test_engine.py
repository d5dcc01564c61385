import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from instore.errors import AnswerError, ConfigurationError, RemoteStoreError, ResultExistsError, WorkerError
from instore.offline.concurrency import Turns
from instore.offline.engine import MOST_AWAY, Engine
from instore.offline.interfaces import CommittedError, Item, JobOptions, Results
from instore.offline.nowhere import NotStored
from instore.offline.plan import Plan
from instore.offline.settings import FailureLimit
from instore.offline.workers import WorkerProcesses
from tests.offline.fake_worker import PIECE, PIECES
from tests.offline.support import FAKE, Seen, arun, fill, plan, run, tree

HOSTILE = [
    "with space",
    "100%41.txt",
    "%2F",
    "a#b?c=d&e+f",
    "new\nline",
    "tab\tquote\"'\\",
    "ünïcödé-日本",
    "bytes-\udcff\udc80",
    "n" * 255,
    "日" * 85,
    "-dash",
    "~",
    "...",
    "deep/" * 20 + "x",
    "a;b:c@d/[brackets]",
]


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    folder = tmp_path / "sr c#%"
    folder.mkdir()
    return folder


@pytest.fixture(name="destination")
def _destination(tmp_path: Path) -> Path:
    return tmp_path / "dst"


def test_hostile_names_survive_the_way_there_and_back(source: Path, destination: Path) -> None:
    fill(source, HOSTILE)
    seen = run(plan(source, destination), workers=2)
    assert seen.errors() == {}
    assert tree(destination) == {name: data.upper() for name, data in tree(source).items()}
    assert set(tree(destination)) == set(HOSTILE)


def test_the_transform_sees_bucket_and_name_decoded(source: Path, destination: Path) -> None:
    fill(source, ["path-% +#?\n"])
    run(plan(source, destination))
    assert tree(destination) == {"path-% +#?\n": b"sr c#%/path-% +#?\n"}


@pytest.mark.parametrize("args", ['{"a": "b&c=d+e", "ü": [1, 2]}', "100%41 #?"])
def test_arguments_reach_the_transform_unchanged(source: Path, destination: Path, args: str) -> None:
    fill(source, ["args-1"])
    run(plan(source, destination), etl_args=args)
    assert tree(destination)["args-1"].decode() == args


def test_an_empty_object_and_an_empty_result_are_files(source: Path, destination: Path) -> None:
    (source / "empty").touch()
    fill(source, ["args-none"])
    seen = run(plan(source, destination))
    assert tree(destination) == {"empty": b"", "args-none": b""}
    assert seen.results["args-none"].result_bytes == 0


def test_a_long_answer_is_streamed_to_a_whole_file(source: Path, destination: Path) -> None:
    fill(source, ["big-1", "small"])
    seen = run(plan(source, destination))
    assert tree(destination)["big-1"] == PIECE * PIECES
    assert seen.bytes == len(PIECE) * PIECES + len("object small")


def test_nothing_is_left_beside_the_results(source: Path, destination: Path) -> None:
    fill(source, ["a", "error-b", "cut-c", "short-d"])
    run(plan(source, destination))
    assert os.listdir(destination) == ["a"]


def test_each_failure_says_what_came(source: Path, destination: Path) -> None:
    fill(source, ["error-1", "mute-1", "nothing-1", "silent-1", "short-1", "cut-1", "good"])
    seen = run(plan(source, destination))
    errors = seen.errors()
    assert errors.pop("cut-1").startswith("the answer broke off after ")
    assert errors == {
        "error-1": "it hurts:\nerror-1",
        "mute-1": "the server answered 500 without saying why",
        "nothing-1": "the server answered 204 where the object was expected",
        "silent-1": "the answer broke off after 0 bytes",
        "short-1": "the answer broke off after 10 bytes; the worker's log says: 'the disk is on fire'",
    }
    assert seen.notes == []  # no worker died
    assert set(tree(destination)) == {"good"}


def test_without_continue_the_first_failure_stops_the_job(source: Path, destination: Path) -> None:
    fill(source, ["a", "b/error-1", *(f"wait-{i}" for i in range(20))])
    seen = run(plan(source, destination), continue_on_error=False)
    assert set(seen.errors()) == {"b/error-1"}
    # What was under way beside it is either whole or not there.
    assert set(tree(destination)) == seen.statuses().keys() - {"b/error-1"} <= {"a"}


def test_a_killed_worker_is_replaced_and_its_object_retried(source: Path, destination: Path, tmp_path: Path) -> None:
    fill(source, ["a", "die-once-1", *(f"x{i}" for i in range(50))])
    seen = run(plan(source, destination), environment={"FAKE_STATE": str(tmp_path)})
    assert seen.errors() == {}
    assert tree(destination) == {name: data.upper() for name, data in tree(source).items()}
    assert len(seen.notes) == 1
    assert "was killed by signal 9 (out of memory?), another takes its place; the " in seen.notes[0]


def test_a_killer_is_blamed_alone_and_the_job_goes_on(source: Path, destination: Path) -> None:
    fill(source, ["a", "die-1", "die-2", *(f"x{i}" for i in range(50))])
    seen = run(plan(source, destination), workers=2, environment={"FAKE_CONCURRENCY": "3", "FAKE_SECONDS": "0.02"})
    assert seen.errors() == {
        name: "the worker was killed by signal 9 (out of memory?) twice while transforming it; "
        f"its last log line: about to die of {name}"
        for name in ("die-1", "die-2")
    }
    assert len(tree(destination)) == 51


@pytest.mark.parametrize("concurrency", [1, pytest.param(2, marks=pytest.mark.whole)])
def test_a_worker_that_hangs_is_replaced_and_only_its_object_is_blamed(
    source: Path, destination: Path, concurrency: int
) -> None:
    hanging = [f"wait-{number}" for number in range(concurrency)]
    fill(source, ["a", *hanging, *(f"x{i}" for i in range(30))])
    options = JobOptions(1, continue_on_error=True, timeout=0.5, replaces_hung=True)
    seen = Seen()
    asyncio.run(arun(plan(source, destination), seen, options, {"FAKE_CONCURRENCY": str(concurrency)}))
    late = "it took longer than 0.5 s, and its worker was ended"
    assert seen.errors() == dict.fromkeys(hanging, late)
    assert len(tree(destination)) == 31
    assert all("took longer than 0.5 s over an object, and was ended" in note for note in seen.notes)
    assert seen.notes


def test_turns_give_each_object_its_time_from_when_those_before_it_are_through() -> None:
    async def check() -> None:
        turns = Turns(1, 60.0)
        first, second = asyncio.Timeout(None), asyncio.Timeout(None)
        async with first, second:
            with turns.taken(second):
                with turns.taken(first):
                    assert second.when() is not None
                    assert first.when() is None
                assert not turns.end_all()  # the second one is still under way
                assert first.when() is None

    asyncio.run(check())


@pytest.mark.whole
def test_a_failed_transform_is_tried_again_as_often_as_the_options_say(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    fill(source, ["flaky-2-a", "flaky-3-b", "error-1"])
    options = JobOptions(1, continue_on_error=True, error_retries=2)
    seen = Seen()
    asyncio.run(arun(plan(source, destination), seen, options, {"FAKE_STATE": str(tmp_path)}))
    assert seen.errors() == {"flaky-3-b": "not yet, 3 times", "error-1": "it hurts:\nerror-1"}
    assert set(tree(destination)) == {"flaky-2-a"}


@pytest.mark.whole
@pytest.mark.parametrize(("most", "complete"), [(0, False), (2, False), (3, True), (None, True)])
def test_a_job_goes_on_until_more_have_failed_than_may(
    source: Path, destination: Path, most: int | None, complete: bool
) -> None:
    fill(source, ["error-1", "error-2", "error-3", *(f"x{i}" for i in range(3 if complete else 300))])
    limit = None if most is None else FailureLimit(most, is_share=False)
    seen = Seen()
    assert (
        asyncio.run(arun(plan(source, destination), seen, JobOptions(continue_on_error=True), limit=limit)) == complete
    )
    assert (len(seen.results) == seen.todo) == complete
    assert len(seen.errors()) > (most or 0) or complete


def test_a_worker_that_exits_is_a_worker_that_died(source: Path, destination: Path) -> None:
    fill(source, ["exit-1", "b"])
    seen = run(plan(source, destination))
    assert seen.errors() == {"exit-1": "the worker exited with code 3 twice while transforming it; its log is empty"}


def test_a_worker_that_cannot_be_replaced_stops_the_job(source: Path, destination: Path, tmp_path: Path) -> None:
    fill(source, ["a", "die-1", *(f"wait-{i}" for i in range(20))])
    with pytest.raises(WorkerError, match="could not be replaced: a worker exited with code 1 before it was ready"):
        run(plan(source, destination), environment={"FAKE_STATE": str(tmp_path), "FAKE_STARTS": "1"})
    assert set(tree(destination)) == {"a"}


def test_a_worker_that_refuses_to_start_speaks_for_itself(source: Path, destination: Path) -> None:
    fill(source, ["a"])
    with pytest.raises(ConfigurationError) as caught:
        run(plan(source, destination), workers=3, environment={"FAKE_REFUSAL": "write a class", "FAKE_EXIT": "2"})
    assert str(caught.value) == "write a class"


def test_a_worker_that_crashes_at_the_start_shows_its_log(source: Path, destination: Path) -> None:
    fill(source, ["a"])
    with pytest.raises(
        ConfigurationError, match=r"exited with code 7 before it was ready; its log ends:\n  some noise"
    ):
        run(plan(source, destination), environment={"FAKE_REFUSAL": "boom", "FAKE_EXIT": "7"})


def test_a_second_run_does_what_is_left_and_touches_nothing_else(source: Path, destination: Path) -> None:
    fill(source, ["a", "d/b", "c"])
    run(plan(source, destination))
    (destination / "c").unlink()
    before = {name: (destination / name).stat() for name in ("a", "d/b")}
    seen = run(plan(source, destination))
    assert seen.statuses() == {"a": "already there", "d/b": "already there", "c": "done"}
    for name, state in before.items():
        after = (destination / name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (state.st_ino, state.st_mtime_ns)


def test_overwrite_does_all_again(source: Path, destination: Path) -> None:
    fill(source, ["a"])
    run(plan(source, destination))
    (source / "a").write_text("new")
    seen = run(plan(source, destination, overwrite=True))
    assert seen.statuses() == {"a": "done"}
    assert tree(destination) == {"a": b"NEW"}


def test_a_result_without_a_place_is_its_objects_error(source: Path, destination: Path) -> None:
    fill(source, ["a", "dir.txt/x", "dir.md", "n" * 255, "ok"])
    (destination / "a").mkdir(parents=True)
    seen = run(plan(source, destination, prefix="", extensions=("md:txt",)))
    assert seen.errors()["a"] == "its result can't be called a: a folder has that name"
    # Whichever of the file dir.txt and the folder dir.txt comes second has no place.
    assert len(seen.errors().keys() & {"dir.txt/x", "dir.md"}) == 1
    seen = run(plan(source, destination, prepend="long-", prefix="n"))
    assert seen.errors()["n" * 255].endswith("File name too long")


def test_a_full_disk_is_the_objects_error(source: Path, destination: Path) -> None:
    fill(source, ["big-1", "small"])
    seen = Seen()

    async def job() -> None:
        # The limit on a file's size stands for a full disk: the write fails in the same place.
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            await arun(plan(source, destination), seen)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)

    asyncio.run(job())
    assert seen.errors() == {"big-1": "its result could not be written: File too large"}
    assert set(tree(destination)) == {"small"}


class RemoteDestination:
    """Takes every `served`-th result, if any, and says of the others that the store is away."""

    def __init__(self, served: int = 0) -> None:
        self.writes = 0
        self._served = served

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        self.writes += 1
        size = sum([len(piece) async for piece in body])
        if not self._served or self.writes % self._served:
            raise RemoteStoreError("it is away", is_away=True)
        return size

    async def write_results(self, item: Item, results: Results) -> NotStored:
        raise AssertionError("the fake worker gives one result")

    async def skip(self, item: Item, reason: str) -> NotStored:
        raise AssertionError("the fake worker skips nothing")

    async def commit(self, batch: Sequence[tuple[NotStored, str]]) -> list[str]:
        assert not batch
        return []

    async def flush(self) -> None:
        """Nothing is held."""

    def delivered(self, item: Item) -> int:
        raise AnswerError("nothing is delivered")


class RivalledDestination(RemoteDestination):
    """A destination in which another command has stored every result meanwhile."""

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        assert content_type == "application/octet-stream"  # what the fake worker says
        raise ResultExistsError(f"{item.result} is there already")


class LateDestination(RemoteDestination):
    """A destination whose results take for ever to get their names, and have them when that is given up."""

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        self.writes += 1
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise CommittedError(3) from None
        raise AssertionError


async def into(results: RemoteDestination, what: Plan, seen: Seen) -> bool:
    async with WorkerProcesses(FAKE, os.environ) as workers:
        return await Engine(JobOptions(continue_on_error=True), what.items(), what.source, workers, results, seen).run()


def test_a_store_that_is_away_ends_the_job(source: Path, destination: Path) -> None:
    fill(source, [f"x{i:03}" for i in range(200)])
    seen = Seen()
    with pytest.raises(RemoteStoreError, match=f"{MOST_AWAY} objects in a row failed .*; the last: it is away"):
        asyncio.run(into(RemoteDestination(), plan(source, destination), seen))
    assert MOST_AWAY <= len(seen.results) < 3 * MOST_AWAY
    assert set(seen.errors().values()) == {"it is away"}


def test_a_store_that_serves_now_and_then_does_not_end_the_job(source: Path, destination: Path) -> None:
    fill(source, [f"x{i:03}" for i in range(200)])
    seen = Seen()
    assert asyncio.run(into(RemoteDestination(served=2), plan(source, destination), seen))
    assert len(seen.results) == 200
    assert len(seen.errors()) == 100


def test_a_result_that_another_command_has_stored_meanwhile_is_no_failure(source: Path, destination: Path) -> None:
    fill(source, ["a", "b"])
    seen = Seen()
    assert asyncio.run(into(RivalledDestination(), plan(source, destination), seen))
    assert seen.statuses() == {"a": "already there", "b": "already there"}


def test_a_result_that_gets_its_name_while_the_job_is_cancelled_is_done(source: Path, destination: Path) -> None:
    fill(source, ["a"])
    seen, results = Seen(), LateDestination()

    async def job() -> None:
        task = asyncio.create_task(into(results, plan(source, destination), seen))
        while not results.writes:  # noqa: ASYNC110  # another process takes part in it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(job())
    assert seen.statuses() == {"a": "done"}
    assert seen.results["a"].result_bytes == 3


def test_a_cancelled_job_leaves_whole_results_only(source: Path, destination: Path, tmp_path: Path) -> None:
    fill(source, ["a", "b", "wait-1"])
    seen = Seen()

    async def job() -> None:
        task = asyncio.create_task(arun(plan(source, destination), seen, environment={"FAKE_STATE": str(tmp_path)}))
        while len(seen.results) < 2 or not (tmp_path / "waiting").exists():  # noqa: ASYNC110  # another process makes it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(job())
    assert seen.statuses() == {"a": "done", "b": "done"}
    assert sorted(os.listdir(destination)) == ["a", "b"]
