"""`instore serve`: what it refuses, and how it keeps several workers."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.servers import TRANSFORMS, Server, running

ECHO = """
from instore import ETLServer

class Echo(ETLServer):
    def transform(self, data, path, etl_args):
        return data
"""
WHOAMI = TRANSFORMS / "whoami.py"
TARGET_URL = "http://127.0.0.1:9/v1/etl/_object/test/s3cr3t-etl"


def serve(folder: Path, *arguments: str, target_url: str = TARGET_URL) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIS_TARGET_URL": target_url}
    command = [sys.executable, "-m", "instore", "serve", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("module", "target", "sentence"),
    [
        (None, "none.py", "there is no file none.py"),
        (None, "no.such.module:Echo", "can't import no.such.module"),
        (None, "not a transform", "'not a transform' is not a valid TRANSFORM"),
        (ECHO, "etl.py:Nope", "etl.py has no class Nope; it has the transforms Echo"),
        (ECHO + "\nNope = 3", "etl.py:Nope", "is not a subclass of instore.ETLServer"),
        ("x = 1", "etl.py", "defines no transform"),
        (ECHO + ECHO.replace("Echo", "Other"), "etl.py", "say which: etl.py:Echo"),
        ("import nothing_like_this", "etl.py", "No module named 'nothing_like_this' (etl.py, line 1)"),
        ("def broken(:", "etl.py", "SyntaxError"),
        (ECHO.replace("def transform", "def transfrom"), "etl.py", "overrides none of transform"),
        (ECHO.replace("    def transform", "    concurrency = 0\n    def transform"), "etl.py", "concurrency is 0"),
        (ECHO + "    def __init__(self): raise OSError('no model')", "etl.py", "Echo() failed: OSError: no model"),
    ],
)
def test_a_transform_that_can_not_serve_is_one_line_and_code_2(
    tmp_path: Path, module: str | None, target: str, sentence: str
) -> None:
    if module is not None:
        (tmp_path / "etl.py").write_text(module)
    run = serve(tmp_path, target, "--port", "0")
    assert run.returncode == 2
    assert sentence in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("target", ["etl.py:Nope", "none.py"])
def test_a_refusal_has_no_stack(tmp_path: Path, target: str) -> None:
    (tmp_path / "etl.py").write_text(ECHO)
    run = serve(tmp_path, target)
    assert len(run.stderr.splitlines()) == 1


def test_a_missing_target_url_is_said(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(ECHO)
    run = serve(tmp_path, "etl.py", target_url="")
    assert run.returncode == 2
    assert run.stderr.startswith("instore: no target URL: set AIS_TARGET_URL")
    assert run.stderr.endswith(
        "; without a cluster, instore try runs a transform on a file, and instore node is a store for it\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_ipv6_address_is_told_as_a_url(tmp_path: Path, workers: str) -> None:
    (tmp_path / "etl.py").write_text(ECHO)
    command = [sys.executable, "-m", "instore", "serve", "etl.py", "--host", "::1", "--port", "0", "--workers", workers]
    environment = {**os.environ, "AIS_TARGET_URL": TARGET_URL}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = re.search(r"Echo on (http://\[::1\]:\d+), ", process.stderr.readline())
        try:
            assert told is not None
            while True:
                with contextlib.suppress(requests.ConnectionError):
                    assert requests.get(f"{told[1]}/health").status_code == 200
                    break
        finally:
            process.terminate()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_said(tmp_path: Path, workers: str) -> None:
    (tmp_path / "etl.py").write_text(ECHO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = serve(tmp_path, "etl.py", "--host", "127.0.0.1", "--port", port, "--workers", workers)
    assert run.returncode == 2
    assert f"can't listen on 127.0.0.1:{port}" in run.stderr
    assert "--port" in run.stderr


def test_a_package_module_is_served(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "module.py").write_text(ECHO)
    run = serve(tmp_path, "package.module:Nope")
    assert "package.module has no class Nope; it has the transforms Echo" in run.stderr


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path, WHOAMI, options=("--workers", "2")) as server:
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{server.url}/b/o?etl_args=die", data=b"x")
        pids: set[bytes] = set()
        while len(pids) < 2:
            pids.add(requests.put(f"{server.url}/b/o", data=b"x").content)
        while "starting another" not in server.log_text():
            time.sleep(0.05)
    assert "was killed by SIGKILL" in server.log_text()


def test_workers_that_can_not_start_stop_the_command(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(ECHO + "    def __init__(self): raise OSError('no model')")
    run = serve(tmp_path, "etl.py", "--port", "0", "--workers", "2")
    assert run.returncode == 2
    assert "Echo() failed: OSError: no model" in run.stderr


STOPPED = TRANSFORMS / "stopped.py"


def test_a_signal_that_comes_before_the_server_is_up_stops_it(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(STOPPED.read_text())
    assert serve(tmp_path, "etl.py", "--host", "127.0.0.1", "--port", "0").returncode == 0


def test_workers_end_with_a_command_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path, WHOAMI, options=("--workers", "2")) as server:
        worker = int(requests.put(f"{server.url}/b/o", data=b"x").content)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        while _alive(worker):
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie, which nobody may have waited for in a container, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_import_that_takes_long_is_said(tmp_path: Path) -> None:
    (tmp_path / "slow_model.py").write_text("import time\n\ntime.sleep(0.6)\n" + ECHO)
    code = (
        "import sys; from instore.runtime import load; load._LONG = 0.2; print(load.load_class(sys.argv[1]).__name__)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "slow_model.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "Echo\n"
    assert "has taken 0.2 s so far; it is at " in run.stderr
    assert run.stderr.endswith("slow_model.py, line 3\n")


RELOADED = """
from instore import ETLServer
import time

class Says(ETLServer):
    concurrency = 4

    def transform(self, data, path, etl_args):
        time.sleep(float(etl_args or 0))
        return b"first"
"""


def asked(server: Server, args: str = "") -> bytes:
    return requests.put(f"{server.url}/b/o?etl_args={args}", data=b"x").content


def wait_for(server: Server, expected: bytes) -> None:
    until = time.monotonic() + 60
    while asked(server) != expected:
        assert time.monotonic() < until, server.log_text()
        time.sleep(0.01)


def test_saved_code_serves_once_it_is_ready_and_broken_code_leaves_the_old_worker(tmp_path: Path) -> None:
    with running(tmp_path, RELOADED, options=("--reload",)) as server, ThreadPoolExecutor(2) as threads:
        module = tmp_path / "etl.py"
        stop = threading.Event()

        def keep_asking() -> set[bytes]:
            answers: set[bytes] = set()
            while not stop.is_set():
                answers.add(asked(server))
                time.sleep(0.01)
            return answers

        asking, slow = threads.submit(keep_asking), threads.submit(asked, server, "2")
        module.write_text(RELOADED.replace("first", "second"))
        wait_for(server, b"second")
        assert slow.result() == b"first"  # what was under way when its worker was replaced
        module.write_text("class broken(:")
        while "SyntaxError" not in server.log_text():
            assert asked(server) == b"second"
            time.sleep(0.01)
        module.write_text(RELOADED.replace("first", "third"))
        wait_for(server, b"third")
        stop.set()
        assert asking.result() <= {b"first", b"second", b"third"}  # nobody was refused meanwhile
        assert [line for line in server.log_text().splitlines() if "SyntaxError" in line] == [
            "instore: can't import " + f"{module}: SyntaxError: invalid syntax (etl.py, line 1)"
        ]


@pytest.mark.whole
def test_a_new_worker_that_dies_leaves_the_old_one(tmp_path: Path) -> None:
    with running(tmp_path, RELOADED, options=("--reload",)) as server:
        (tmp_path / "etl.py").write_text("import os; os.kill(os.getpid(), 9)")
        while "the new worker was killed by SIGKILL before it was ready" not in server.log_text():
            assert asked(server) == b"first"
        assert asked(server) == b"first"


@pytest.mark.parametrize("options", [("--workers", "2"), pytest.param(("--uds", "socket"), marks=pytest.mark.whole)])
def test_reloading_is_for_one_worker_on_a_port(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "etl.py").write_text(ECHO)
    run = serve(tmp_path, "etl.py", "--reload", *options)
    assert (run.returncode, run.stderr) == (
        2,
        "instore: --reload is for one worker, on a port, without --ui; leave the others out\n",
    )
