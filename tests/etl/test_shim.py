"""A process behind its shim."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from instore.etl.process import Process, tail

LIMIT = 1 << 16


async def started(folder: Path, script: str, grace: float = 10.0) -> tuple[Process, int]:
    parent, we_live = os.pipe()
    command = [sys.executable, "-u", "-c", textwrap.dedent(script)]
    log = str(folder / "log")
    process = await Process.start_with_shim(command, os.environ, log, LIMIT, parent, str(folder), grace=grace)
    os.close(parent)
    return process, we_live


async def printed(process: Process, line: str) -> list[str]:
    while not process.last_lines(line):  # noqa: ASYNC110  # another process prints it
        await asyncio.sleep(0.01)
    return process.last_lines(line)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(state) and state[0] != "Z"


def wait_until_gone(pid: int) -> None:
    while is_alive(pid):
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("raise SystemExit(7)", "exited with code 7"),
        ("pass", "exited with code 0"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9 (out of memory?)"),
        ("import os; os.kill(os.getpid(), 11)", "was killed by signal 11 (SIGSEGV)"),
    ],
)
def test_how_a_command_ends_is_how_its_shim_ends(tmp_path: Path, script: str, how: str) -> None:
    async def check() -> None:
        process, we_live = await started(tmp_path, script)
        await process.exited
        assert process.how_it_died() == how
        os.close(we_live)

    asyncio.run(check())


def test_a_command_that_cannot_be_run_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        parent, we_live = os.pipe()
        log = str(tmp_path / "log")
        process = await Process.start_with_shim(["/none/such"], os.environ, log, LIMIT, parent, str(tmp_path))
        await process.exited
        assert (process.how_it_died(), process.last_lines()) == (
            "exited with code 127",
            ["can't run /none/such: No such file or directory"],
        )
        os.close(parent)
        os.close(we_live)

    asyncio.run(check())


def test_a_flood_is_kept_to_its_last_part(tmp_path: Path) -> None:
    async def check() -> None:
        process, we_live = await started(tmp_path, "for i in range(100000): print('line', i)")
        await process.exited
        os.close(we_live)
        assert process.last_lines()[-1] == "line 99999"

    asyncio.run(check())
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) <= LIMIT
    lines = tail(str(tmp_path / "log"), LIMIT).decode().splitlines()[1:]
    assert lines == [f"line {number}" for number in range(100000 - len(lines), 100000)]


FAMILY = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    print("child", child.pid)
    time.sleep(1000)
"""


def test_what_a_command_has_started_ends_with_it_even_in_another_session(tmp_path: Path) -> None:
    async def check() -> int:
        process, we_live = await started(tmp_path, FAMILY)
        (line,) = await printed(process, "child")
        process.terminate()
        await process.end()
        assert process.how_it_died() == "was killed by signal 15 (SIGTERM)"
        os.close(we_live)
        return int(line.split()[1])

    assert not is_alive(asyncio.run(check()))


@pytest.mark.parametrize("grace", [0.0, 1000.0])
def test_one_that_does_not_end_when_asked_is_ended(tmp_path: Path, grace: float) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(1000)"

    async def check() -> None:
        process, we_live = await started(tmp_path, deaf, grace)
        await printed(process, "deaf")
        if grace:
            process.kill()
        else:
            process.terminate()
        await process.exited
        assert process.how_it_died() == "was killed by signal 9 (out of memory?)"
        os.close(we_live)

    asyncio.run(check())


def test_nothing_outlives_whoever_started_it(tmp_path: Path) -> None:
    script = f"""
        import asyncio, os, signal
        from pathlib import Path
        from tests.etl.test_shim import FAMILY, printed, started

        async def main():
            process, we_live = await started(Path({str(tmp_path)!r}), FAMILY)
            (line,) = await printed(process, "child")
            print(process.pid, line.split()[1], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    for pid in done.stdout.split():
        wait_until_gone(int(pid))


def test_a_command_ends_with_its_shim(tmp_path: Path) -> None:
    async def check() -> int:
        process, we_live = await started(tmp_path, "import os, time; print(f'I am {os.getpid()}'); time.sleep(1000)")
        (line,) = await printed(process, "I am")
        os.kill(process.pid, signal.SIGKILL)
        await process.exited
        os.close(we_live)
        return int(line.split()[2])

    wait_until_gone(asyncio.run(check()))
