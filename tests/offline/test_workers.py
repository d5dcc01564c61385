import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline.workers import WorkerProcesses
from tests.offline.support import FAKE


def test_a_pod_is_ready_says_its_concurrency_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def check() -> None:
        async with WorkerProcesses(FAKE, {**os.environ, "FAKE_CONCURRENCY": "7"}) as workers:
            worker = await workers.start()
            assert worker.concurrency == 7
            assert not await worker.is_dead()
            (folder,) = tmp_path.iterdir()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert worker.exited.done()

    asyncio.run(check())
    assert os.listdir(tmp_path) == []


def test_a_killed_pod_is_seen_dead_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with WorkerProcesses(FAKE, os.environ) as workers:
            worker = await workers.start()
            os.kill(worker.pid, signal.SIGKILL)
            assert await worker.is_dead()
            assert worker.how_it_died() == "was killed by signal 9 (out of memory?)"
            await workers.discard(worker)
            another = await workers.start()
            os.kill(another.pid, signal.SIGSEGV)
            assert await another.is_dead()
            assert another.how_it_died() == "was killed by signal 11 (SIGSEGV)"

    asyncio.run(check())


def test_a_deep_folder_for_temporary_files_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    async def check() -> None:
        async with WorkerProcesses(FAKE, os.environ) as workers:
            assert not await (await workers.start()).is_dead()

    asyncio.run(check())


def test_a_flooded_log_gives_its_last_lines() -> None:
    flood = "import sys\nfor i in range(100000): print('line', i)\nsys.exit(5)"

    async def check() -> None:
        async with WorkerProcesses([sys.executable, "-c", flood], os.environ) as workers:
            with pytest.raises(ConfigurationError) as caught:
                await workers.start()
        lines = str(caught.value).splitlines()
        assert lines[0] == "a worker exited with code 5 before it was ready; its log ends:"
        assert [line.strip() for line in lines[1:]] == [f"line {i}" for i in range(99990, 100000)]

    asyncio.run(check())


def test_a_worker_that_dies_without_a_word_is_said_to() -> None:
    async def check() -> None:
        async with WorkerProcesses([sys.executable, "-c", "import os; os._exit(2)"], os.environ) as workers:
            with pytest.raises(ConfigurationError, match="exited with code 2 before it was ready; its log is empty"):
                await workers.start()

    asyncio.run(check())


def test_workers_end_with_their_parent_even_if_it_is_killed() -> None:
    script = f"""
        import asyncio, os, signal
        from instore.offline.workers import WorkerProcesses

        async def main():
            async with WorkerProcesses({FAKE!r}, os.environ) as pods:
                print((await pods.start()).pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    # The pipe that we read to its end was open in nobody else; the worker has gone, or is going.
    pid = int(done.stdout)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has gone, perhaps while we look
        while "zombie" not in Path(f"/proc/{pid}/status").read_text():
            os.sched_yield()


def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    fake = Path(FAKE[1]).read_text()
    script = tmp_path / "worker.py"
    pid = str(tmp_path / "pid")
    child = f"import subprocess; Path({pid!r}).write_text(str(subprocess.Popen(['sleep', '1000']).pid))"
    script.write_text(fake.replace("def main() -> None:", f"def main() -> None:\n    {child}"))

    async def check() -> None:
        async with WorkerProcesses([sys.executable, str(script)], os.environ) as workers:
            await workers.start()

    asyncio.run(check())
    status = Path(f"/proc/{(tmp_path / 'pid').read_text()}/status")
    while status.exists() and "zombie" not in status.read_text():
        os.sched_yield()
