"""`--on ray` without Ray: what the command and the machines' agents say to each other, and what of lost ones."""

import asyncio
import sys
import textwrap
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from instore.errors import ConfigurationError, WorkerError
from instore.offline.engine import MOST_LOST
from instore.offline.folder_destination import FolderDestination
from instore.offline.interfaces import Item, ItemState, JobOptions
from instore.offline.job import TransformJob
from instore.offline.members import MemberOptions
from instore.offline.plan import make_plan
from instore.offline.ray_agent import AgentNews, AgentOutcome, AgentStart, AgentTask, RayAgent
from instore.offline.ray_workers import RayCluster, RayWorkers, ray_cluster
from instore.offline.run import run
from instore.offline.settings import JobSettings
from instore.shipping.class_copy import copy_class
from tests.offline.support import Seen, fill, tree
from tests.shards.archives import content, tar


class LostError(Exception):
    """What stands for Ray's error about an actor."""


class Method:
    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self.remote = call


class Actor:
    """What stands for an actor: an agent in this process, until it is killed."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Method:
        return Method(partial(self._call, getattr(self.agent, name)))

    async def _call(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        answer = asyncio.ensure_future(method(*arguments))
        dead = asyncio.ensure_future(self.dead.wait())
        try:
            await asyncio.wait({answer, dead}, return_when=asyncio.FIRST_COMPLETED)
            if self.dead.is_set():
                raise LostError("the actor died\nits node is gone")
            return await answer
        finally:
            answer.cancel()
            dead.cancel()


class Cluster(RayCluster):
    """What stands for a cluster with room for so many actors."""

    def __init__(self, room: int, make: Callable[[AgentTask, str], Any] = RayAgent) -> None:
        self.lost = LostError
        self._free = asyncio.Semaphore(room)
        self.actors: list[Actor] = []
        self._make = make

    def make_agent(self, task: AgentTask, name: str) -> Actor:
        actor = Actor(Waiting(self._free, self._make(task, name)))
        self.actors.append(actor)
        return actor

    def put(self, task: AgentTask) -> AgentTask:
        return task

    def kill(self, agent: Actor) -> None:
        agent.dead.set()
        if agent.agent.has_room:
            agent.agent.has_room = False
            self._free.release()

    def needs(self) -> str:
        return "1 CPU"


class Waiting:
    """An agent that starts once there is room for it."""

    def __init__(self, room: asyncio.Semaphore, agent: Any) -> None:
        self.has_room = False
        self._room = room
        self._agent = agent

    async def start(self) -> AgentStart:
        if not self.has_room:
            await self._room.acquire()
            self.has_room = True
        started: AgentStart = await self._agent.start()
        return started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)


class Scripted:
    """An agent whose worker does what an object's name says: `lose` takes its machine down, each time; `lose-once`, the
    first time; any other is done at once."""

    seen = Counter[str]()

    def __init__(self, task: AgentTask, name: str) -> None:
        self.cluster: Cluster | None = None
        self._news: asyncio.Future[AgentNews] = asyncio.get_running_loop().create_future()

    async def start(self) -> AgentStart:
        return AgentStart("", 2, 7, "here")

    async def transfer(self, item: Item) -> AgentOutcome:
        self.seen[item.name] += 1
        if item.name == "lose" or (item.name == "lose-once" and self.seen[item.name] == 1):
            await asyncio.sleep(0.01)  # so that others are under way
            raise LostError("the machine is gone")
        await asyncio.sleep(0)
        return AgentOutcome(item.size, received=item.size)

    async def follow(self) -> AgentNews:
        return await self._news

    async def is_dead(self) -> bool:
        return False

    async def end(self) -> None:
        """Nothing is held."""


def job(
    source: Path,
    destination: Path | None,
    cluster: Callable[[], Cluster],
    workers: int,
    transform: Path | None = None,
    members: str = "",
) -> Seen:
    seen = Seen()
    plan = partial(make_plan, str(source), None if destination is None else str(destination))
    copy = copy_class(str(transform)) if transform is not None else copy_class("math")

    async def check() -> None:
        there = cluster()
        make_workers = partial(RayWorkers, there, AgentTask(plan, copy, "", "warning"))
        options = JobOptions(workers, continue_on_error=True, timeout=60, replaces_hung=True)
        assert await run(plan(), make_workers, options, seen, None, MemberOptions(members, "drop"))
        assert not [actor for actor in there.actors if not actor.dead.is_set()]

    asyncio.run(check())
    return seen


@pytest.fixture(name="names")
def _names(tmp_path: Path) -> list[str]:
    Scripted.seen.clear()
    return [f"x{number:03}" for number in range(200)]


@pytest.mark.parametrize("room", [1, 2, 3])
def test_what_a_lost_machine_had_is_done_by_others(tmp_path: Path, names: list[str], room: int) -> None:
    fill(tmp_path, [*names, "lose-once"])
    seen = job(tmp_path, None, lambda: Cluster(room, Scripted), 2)
    assert seen.statuses() == dict.fromkeys([*names, "lose-once"], "done")
    assert Scripted.seen["lose-once"] == 2
    lost = [note for note in seen.notes if "was lost" in note]
    assert len(lost) == 1
    assert "worker 7 on here was lost" in lost[0]
    assert "under way in it are run again" in lost[0]
    assert seen.bytes == sum(result.result_bytes or 0 for result in seen.results.values())


def test_an_object_that_machines_are_lost_with_fails_at_last(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path, [*names, "lose"])
    seen = job(tmp_path, None, lambda: Cluster(2, Scripted), 2)
    assert "it was under way in 3 workers that were lost" in seen.errors()["lose"]
    assert Scripted.seen["lose"] == MOST_LOST
    assert all(result.status == "done" for name, result in seen.results.items() if name.startswith("x0"))


def test_workers_that_never_get_room_keep_nothing_waiting(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path, names)
    seen = job(tmp_path, None, lambda: Cluster(1, Scripted), 4)
    assert seen.statuses() == dict.fromkeys(names, "done")


def test_a_class_that_can_not_be_loaded_says_where(tmp_path: Path) -> None:
    class Failing(Scripted):
        async def start(self) -> AgentStart:
            return AgentStart("on here: it can't be loaded")

    fill(tmp_path, ["a"])
    with pytest.raises(ConfigurationError, match="on here: it can't be loaded"):
        job(tmp_path, None, lambda: Cluster(1, Failing), 1)


def test_agents_that_are_lost_as_they_start_end_the_job_with_the_reason(tmp_path: Path) -> None:
    class Lost(Scripted):
        async def start(self) -> AgentStart:
            raise LostError("a long story\nno module named instore")

    fill(tmp_path, ["a"])
    with pytest.raises((ConfigurationError, WorkerError), match=r"no worker could be started .*: no module named"):
        job(tmp_path, None, lambda: Cluster(1, Lost), 1)


def test_a_missing_ray_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'instore\[ray\]'"), ray_cluster("ray", 1, 0, True):
        pass


TRANSFORM = """
    from instore import ETLServer
    from helper import upper

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if path.endswith("bad"):
                raise ValueError("it is bad")
            if path.endswith("crash"):
                import os
                os.abort()
            print("did", path)
            return upper(data)
"""


@pytest.fixture(name="transform")
def _transform(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "helper.py").write_text("def upper(data):\n    return data.upper()\n")
    (folder / "up.py").write_text(textwrap.dedent(TRANSFORM))
    return folder / "up.py"


@pytest.mark.whole
def test_agents_write_and_the_command_commits(tmp_path: Path, transform: Path) -> None:
    fill(tmp_path / "src", ["a", "d/b", "bad", "crash"])
    seen = job(tmp_path / "src", tmp_path / "dst", lambda: Cluster(1), 1, transform)
    assert tree(tmp_path / "dst") == {"a": b"OBJECT A", "d/b": b"OBJECT D/B"}
    assert sorted(seen.errors()) == ["bad", "crash"]
    assert "ValueError: it is bad" in seen.errors()["bad"]
    assert "was killed by signal 6" in seen.errors()["crash"]
    assert "did src/a" in " ".join(line for _, line in seen.lines)
    assert len(seen.results) == 4


@pytest.mark.whole
def test_what_becomes_of_members_is_known(tmp_path: Path, transform: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.tar").write_bytes(tar({"a": b"one", "bad": b"bad", "c.bin": b"two"}))
    seen = job(tmp_path / "src", tmp_path / "dst", lambda: Cluster(1), 1, transform, members="{a,bad}")
    assert seen.errors() == {}
    assert content("tar", (tmp_path / "dst" / "x.tar").read_bytes()) == {"a": b"ONE", "c.bin": b"two"}
    (shard,) = seen.shards
    assert (shard.shard, shard.transformed, shard.copied, shard.outcome) == ("x.tar", 1, 1, "dropped")


def test_a_folder_that_is_not_the_commands_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not the folder that the command writes to; mount it"):
        FolderDestination(str(tmp_path)).join("1")


def test_those_that_join_a_folder_keep_out_of_each_others_way(tmp_path: Path) -> None:
    async def body() -> Any:
        yield b"x"

    async def check() -> None:
        async with FolderDestination(str(tmp_path)) as held:
            names = set[str]()
            for writer in ("1", "2"):
                guest = FolderDestination(str(tmp_path))
                guest.join(writer)
                stored = await guest.write(Item("a", ItemState.TODO), body(), "")
                names.add(stored.path)
            assert len(names) == 2
            assert await held.commit([(stored, "a")]) == [""]

    asyncio.run(check())
    assert tree(tmp_path) == {"a": b"x"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"on": "ray"}, "reads or writes .*src itself; if it is shared, at the same path"),
        ({"on": "slurm"}, "--on slurm: it takes ray, the cluster of this machine, or ray://HOST:10001"),
        ({"on": "ray", "shared_folders": True, "devices": "0"}, "use --gpus"),
        ({"on": "ray", "shared_folders": True, "cpus": 0}, "at least a part of a CPU"),
        ({"gpus": 1}, "are for --on"),
        ({"shared_folders": True}, "are for --on"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    fill(tmp_path / "src", ["a"])
    job_of = partial(JobSettings, transform="up.py", sources=[str(tmp_path / "src")], destination=str(tmp_path / "dst"))
    with pytest.raises(ConfigurationError, match=sentence):
        TransformJob(job_of(**settings))


def test_a_class_takes_along_what_is_beside_it(tmp_path: Path, transform: Path) -> None:
    copy = copy_class(f"{transform}:Upper")
    (tmp_path / "there").mkdir()
    assert copy.unpack(str(tmp_path / "there")) == f"{tmp_path}/there/up.py:Upper"
    assert sorted(tree(tmp_path / "there")) == ["helper.py", "up.py"]
    assert copy_class("math").unpack(str(tmp_path)) == "math"
    with pytest.raises(ConfigurationError, match=r"none\.py can't be read: No such file"):
        copy_class(str(tmp_path / "none.py"))
