"""`instore runtime`: what it refuses, what it installs, and how it serves."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from instore.webserver.base_etl_server import ETLServer
from instore.webserver.utils import serialize_class
from tests.support.servers import TARGET_PATH, clean_environment, running_command
from tests.support.wheels import make_wheel, only_from

TARGET_URL = f"http://127.0.0.1:9{TARGET_PATH}"
RUNTIME = [sys.executable, "-m", "instore", "runtime", "--host", "127.0.0.1", "--port", "0"]

SCRIPT = """
import os
from instore import ETLServer

class Mine(ETLServer):
    def transform(self, data, path, etl_args):
        if etl_args == "pid":
            return b"%d" % os.getpid()
        if etl_args == "die":
            os.kill(os.getpid(), 9)
        if etl_args:
            module = __import__(etl_args)
            return f"{module.VERSION} {module.__file__}".encode()
        return data.upper()
"""


def payload_of(script: str = SCRIPT, name: str = "Mine") -> str:
    main: dict[str, type[ETLServer]] = {"__name__": "__main__"}  # type: ignore[dict-item]
    exec(script, main)
    return serialize_class(main[name])


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), "AIS_TARGET_URL": TARGET_URL, **variables}
    return subprocess.run([*RUNTIME, *options], env=environment, capture_output=True, text=True)


BROKEN = SCRIPT + "    def __init__(self): raise OSError('no model')\n"
IDLE = SCRIPT.replace("def transform", "def transfrom")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "no class to serve: set ETL_CLASS_PAYLOAD"),
        ({"ETL_CLASS_PAYLOAD": "?"}, "the class's payload is not base64"),
        ({"ETL_CLASS_PAYLOAD": payload_of(), "AIS_TARGET_URL": ""}, "no target URL: set AIS_TARGET_URL"),
        (
            {"ETL_CLASS_PAYLOAD": payload_of(), "NUM_WORKERS": "many"},
            "NUM_WORKERS='many' is not a valid number of processes",
        ),
        ({"ETL_CLASS_PAYLOAD": payload_of(), "PACKAGES": "a b"}, "PACKAGES has the entry 'a b', which is no"),
        (
            {"ETL_CLASS_PAYLOAD": payload_of(), "OS_PACKAGES": "-y"},
            "OS_PACKAGES has the entry '-y', which is not a valid package name",
        ),
        ({"ETL_CLASS_PAYLOAD": payload_of(BROKEN)}, "Mine() failed: OSError: no model"),
        ({"ETL_CLASS_PAYLOAD": payload_of(BROKEN), "NUM_WORKERS": "1"}, "Mine() failed: OSError: no model"),
        (
            {"ETL_CLASS_PAYLOAD": payload_of(IDLE)},
            "Mine overrides none of transform, transform_batch, transform_stream",
        ),
    ],
)
def test_what_can_not_be_served_is_one_sentence_and_code_2(variables: dict[str, str], sentence: str) -> None:
    refused = run(**variables)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith(f"instore: {sentence}")


def test_a_refused_payload_has_no_stack() -> None:
    assert len(run(ETL_CLASS_PAYLOAD="?").stderr.splitlines()) == 1


def test_a_class_is_served_by_as_many_workers_as_asked_for(tmp_path: Path) -> None:
    with running_command(tmp_path, RUNTIME, {"ETL_CLASS_PAYLOAD": payload_of(), "NUM_WORKERS": "2"}) as server:
        pids: set[bytes] = set()
        while len(pids) < 2:
            pids.add(requests.put(f"{server.url}/b/o?etl_args=pid", data=b"x").content)
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{server.url}/b/o?etl_args=die", data=b"x")
        while "starting another" not in server.log_text():
            time.sleep(0.05)
        assert requests.put(f"{server.url}/b/o", data=b"abc").content == b"ABC"
        assert "instore: Mine on http://127.0.0.1:" in server.log_text()


def test_four_workers_are_the_default(tmp_path: Path) -> None:
    with running_command(tmp_path, RUNTIME, {"ETL_CLASS_PAYLOAD": payload_of()}) as server:
        assert ", 4 workers\n" in server.log_text()


@pytest.mark.whole
class TestPackages:
    @pytest.fixture
    def wheels(self, tmp_path: Path) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir()
        make_wheel(folder, "hill", "1.5", requires=["dale"])
        make_wheel(folder, "dale", "2.5")
        return folder

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_packages_are_installed_into_an_environment_once(self, tmp_path: Path, wheels: Path, workers: str) -> None:
        folder = tmp_path / "an environment"
        command = [*RUNTIME, "--environment", str(folder)]
        variables = {
            **only_from(wheels),
            "ETL_CLASS_PAYLOAD": payload_of(),
            "PACKAGES": "hill>=1,<2,dale",
            "NUM_WORKERS": workers,
        }
        for said in ("pip installs hill<2,>=1, dale", "packages: all there"):
            with running_command(tmp_path, command, variables) as server:
                answer = requests.put(f"{server.url}/b/o?etl_args=hill", data=b"x").text
                assert said in server.log_text()
                pid = server.process.pid
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait() == 0
            assert answer.startswith(f"1.5 {folder}/")
            assert pid == server.process.pid

    def test_a_package_that_is_not_to_be_had_ends_the_log(self, tmp_path: Path, wheels: Path) -> None:
        refused = run(
            "--environment",
            str(tmp_path / "environment"),
            ETL_CLASS_PAYLOAD=payload_of(),
            PACKAGES="hill,mountain",
            **only_from(wheels),
        )
        assert refused.returncode == 2
        assert "pip: ERROR: No matching distribution found for mountain" in refused.stderr
        assert refused.stderr.splitlines()[-1].startswith("instore: pip can't install mountain (exit code 1): ERROR:")

    def test_a_class_that_needs_more_than_was_asked_for_says_so(self, tmp_path: Path, wheels: Path) -> None:
        sys.path.insert(0, str(wheels / "hill-1.5-py3-none-any.whl"))
        payload = payload_of("import hill\n" + SCRIPT + "    hill = hill\n")
        del sys.path[0], sys.modules["hill"]
        refused = run(ETL_CLASS_PAYLOAD=payload)
        assert refused.stderr.splitlines()[-1].startswith(
            "instore: the class's payload needs the module hill, which is not there: add the package to dependencies"
        )
        command = [*RUNTIME, "--environment", str(tmp_path / "environment")]
        variables = {"ETL_CLASS_PAYLOAD": payload, "PACKAGES": "hill", "NUM_WORKERS": "1", **only_from(wheels)}
        with running_command(tmp_path, command, variables) as server:
            assert requests.put(f"{server.url}/b/o", data=b"abc").content == b"ABC"


def test_a_system_package_that_is_not_to_be_had_ends_the_log(tmp_path: Path) -> None:
    apk = tmp_path / "apk"
    apk.write_text('#!/bin/sh\n[ "$1" = add ] && echo "ERROR: nosuch (no such package)"\nexit 1\n')
    apk.chmod(0o755)
    refused = run(ETL_CLASS_PAYLOAD=payload_of(), OS_PACKAGES="nosuch", PATH=str(tmp_path))
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    if os.geteuid() == 0:
        assert last == "instore: apk can't install nosuch (exit code 1): ERROR: nosuch (no such package)"
    else:
        assert last.startswith("instore: can't install nosuch of OS_PACKAGES: apk needs root")


@pytest.mark.skipif(os.geteuid() != 0, reason="installing takes root")
def test_it_can_be_stopped_while_it_installs(tmp_path: Path) -> None:
    apk = tmp_path / "apk"
    apk.write_text(
        f'#!/bin/sh\n[ "$1" = info ] && exit 1\necho $$ > {tmp_path}/new\n/bin/mv {tmp_path}/new {tmp_path}/pid\n'
    )
    with apk.open("a") as script:
        script.write("exec /bin/sleep 1000\n")
    apk.chmod(0o755)
    variables = {"ETL_CLASS_PAYLOAD": payload_of(), "OS_PACKAGES": "slow", "PATH": str(tmp_path)}
    environment = {**clean_environment(), "AIS_TARGET_URL": TARGET_URL, **variables}
    process = subprocess.Popen(RUNTIME, env=environment)
    while not (tmp_path / "pid").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    assert process.wait() == 143
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_worker_listens_on_an_inherited_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "instore", "runtime", "--fd", str(listener.fileno())],
            env={**clean_environment(), "AIS_TARGET_URL": TARGET_URL, "ETL_CLASS_PAYLOAD": payload_of()},
            pass_fds=(listener.fileno(),),
        )
        try:
            answer = requests.put(f"http://127.0.0.1:{listener.getsockname()[1]}/b/o", data=b"abc")
            assert answer.content == b"ABC"
        finally:
            process.terminate()
            assert process.wait() == 0


def test_it_listens_on_a_socket_in_the_file_system(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    process = subprocess.Popen(
        [sys.executable, "-m", "instore", "runtime", "--uds", path],
        env={**clean_environment(), "AIS_TARGET_URL": TARGET_URL, "ETL_CLASS_PAYLOAD": payload_of()},
    )
    try:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        while connection.sock.connect_ex(path):
            assert process.poll() is None
            time.sleep(0.05)
        connection.request("PUT", "/b/o", b"abc")
        assert connection.getresponse().read() == b"ABC"
        connection.close()
    finally:
        process.terminate()
        process.wait()
