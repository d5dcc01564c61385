"""Transforms that do what they shouldn't: their object fails, with a reason, and the next one is served."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.node import wait_until
from tests.support.servers import Server, running

ODD = """
    import asyncio, sys
    from instore import ETLServer

    class Mute(Exception):
        def __str__(self): raise RuntimeError("no words")

    class Odd(ETLServer):
        {how} {method}(self, data, path, etl_args):
            match etl_args:
                case "exit": sys.exit(3)
                case "interrupt": raise KeyboardInterrupt
                case "generator": raise GeneratorExit
                case "mute": raise Mute
                case "memory": raise MemoryError
                case "stop": asyncio.get_running_loop().stop()
                case "task":
                    async def ends(): sys.exit(4)
                    await asyncio.create_task(ends())
            {gives}
"""
SHAPES = {
    "buffered": ("def", "transform", "return b'fine'"),
    "streamed": ("def", "transform_stream", "yield b'fine'"),
    "async-buffered": ("async def", "transform", "return b'fine'"),
    "async-streamed": ("async def", "transform_stream", "yield b'fine'"),
}


@pytest.fixture(scope="module", params=SHAPES)
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    how, method, gives = SHAPES[request.param]
    code = ODD.format(how=how, method=method, gives=gives)
    if "async" not in how:
        code = code.replace("await asyncio.create_task(ends())", "pass")
    with running(tmp_path_factory.mktemp("odd"), code) as server:
        yield server


@pytest.mark.parametrize("what", ["exit", "interrupt", "generator", "mute", "memory"])
def test_whatever_is_raised_fails_its_object_with_one_line_and_the_next_is_served(odd: Server, what: str) -> None:
    answer = requests.put(f"{odd.url}/b/{what}?etl_args={what}", data=b"x", timeout=30)
    assert answer.status_code == 422
    assert f"'b/{what}' failed: " in answer.text
    assert requests.put(f"{odd.url}/b/next", data=b"x", timeout=30).content == b"fine"
    wait_until(lambda: f"object='b/{what}'" in odd.log_text())
    assert odd.log_text().count(f"object='b/{what}'") == 1


@pytest.mark.parametrize("what", ["stop", "task"])
def test_an_async_transform_that_ends_its_loop_ends_nothing_else(odd: Server, what: str) -> None:
    requests.put(f"{odd.url}/b/{what}?etl_args={what}", data=b"x", timeout=30)
    assert requests.put(f"{odd.url}/b/next", data=b"x", timeout=30).content == b"fine"


def test_a_file_that_does_not_fit_into_memory_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    with open(file, "wb") as sparse:
        sparse.truncate(300 << 30)
    code = "from instore import ETLServer\nclass T(ETLServer):\n    def transform(self, data, path, a): return data\n"
    with running(tmp_path, code, environment={"INSTORE_FILE_ROOTS": str(tmp_path)}) as server:
        answer = requests.get(f"{server.url}/b/o", params={"etl_fqn": str(file)}, timeout=60)
        assert answer.status_code == 500
        assert "does not fit into memory; write transform_stream" in answer.text
        wait_until(lambda: "outcome=failed" in server.log_text())


ATTRIBUTES = (
    "environment", "logger", "session", "token", "direct_put", "direct_fqn", "direct_put_retries", "host_target",
    "state", "settings", "service", "app", "watchdog", "host", "name", "path", "args", "loop", "config",
)  # fmt: skip


def test_a_transforms_own_attributes_are_its_own(tmp_path: Path) -> None:
    code = f"""
        from instore import ETLServer

        class Own(ETLServer):
            def __init__(self):
                for name in {ATTRIBUTES!r}:
                    setattr(self, name, "prod")

            def transform(self, data, path, etl_args):
                return self.environment.encode() + data
    """
    with running(tmp_path, code) as server:
        assert requests.put(f"{server.url}/b/o", data=b"!", timeout=30).content == b"prod!"


@pytest.mark.parametrize("name", ["gzip", "io", "email", "logging", "asyncio", "click", "socket", "instore_etl"])
def test_a_file_may_have_the_name_of_a_module(tmp_path: Path, name: str) -> None:
    code = "from instore import ETLServer\nclass T(ETLServer):\n    def transform(self, data, path, a): return data\n"
    (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "secrets.py").write_text("raise RuntimeError('not the one')\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a").write_bytes(b"cat")
    command = [sys.executable, "-P", "-m", "instore", "transform", f"{name}.py", "src", "dst", "--workers", "1"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "dst" / "a").read_bytes() == b"cat"


def test_a_log_that_nobody_reads_holds_nobody_up_and_says_what_is_missing() -> None:
    code = (
        "import logging, sys, threading, time\n"
        "from instore.system.logs import LogOptions, log_to_stderr\n"
        "log_to_stderr(LogOptions())\n"
        "for n in range(60_000): logging.info('line %d %s', n, 'x' * 50)\n"
        "print('written', flush=True)\n"
        "sys.stdin.readline()\n"
        "logging.info('the last')\n"
        "logging.shutdown()\n"
    )
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=writing, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "written\n"
        with open(reading) as log:
            first = [log.readline() for _ in range(15_000)]
            process.stdin.write("\n")
            process.stdin.flush()
            lines = first + log.readlines()
    dropped = [int(line.split()[0]) for line in lines if "lines of the log were dropped here" in line]
    assert dropped
    assert sum(dropped) + len(lines) - len(dropped) == 60_001
    assert lines[-1].endswith("the last\n")
