"""`instore check`: a server that keeps to the protocol passes, and each thing that loses objects is found."""

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from instore.cli import main
from instore.testing.protocol_checks import CHECKS
from tests.support.servers import running

TRANSFORM = """
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if data.startswith(b"bad"):
                raise ValueError("it is bad")
            return data.upper()
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad").write_bytes(b"bad object")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def verdicts(done: Result) -> dict[str, list[str]]:
    """The names of the checks, by how they ended."""
    found: dict[str, list[str]] = {"ok": [], "FAILED": [], "not checked": []}
    for (name, _, _), line in zip(CHECKS, done.stdout.splitlines(), strict=False):
        rest = line.removeprefix("must").removeprefix("should").strip().removeprefix(name).strip()
        found[next(verdict for verdict in found if rest.startswith(verdict))].append(name)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_our_own_server_passes_all_of_it(tmp_path: Path) -> None:
    port = free_port()
    target = f"http://127.0.0.1:{port}/v1/etl/_object/test/test-secret"
    with running(tmp_path, TRANSFORM, target_url=target) as server:
        done = check(server.url, "--bad", "bad", "--target-port", str(port))
        assert (done.exit_code, len(verdicts(done)["ok"])) == (0, len(CHECKS)), done.output
        assert done.stdout.splitlines()[-1] == f"{len(CHECKS)} ok, 0 FAILED, 0 not checked"
        without = check(server.url)
        assert without.exit_code == 0
        assert "GET of an object that the target has" in verdicts(without)["not checked"]
        assert without.stdout.splitlines()[-1].startswith("for --target-port N, start the server with AIS_TARGET_URL=")


@contextlib.contextmanager
def careless(status: int) -> Iterator[str]:
    """A server that answers everything with a status and what came of the body, and knows nothing else."""

    class Careless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200 if self.path == "/health" else status, b"")

        def do_PUT(self) -> None:
            if self.headers.get("Transfer-Encoding"):  # what is left unread would reset the connection
                self.connection.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    self.rfile.read()
            self.answer(status, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """The test's output is its own."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_would_lose_objects_is_found() -> None:
    with careless(200) as url:
        done = check(url, "--bad", "bad")
    assert done.exit_code == 1
    assert verdicts(done) == {
        "ok": ["GET /health is 200", "PUT with a body gives a result", "the same PUT gives the same"],
        "FAILED": [
            "PUT with a chunked body",
            "PUT that names a file (etl_fqn)",
            "GET that names a file (etl_fqn)",
            "direct put (Ais-Node-Url)",
            "a malformed Ais-Node-Url is refused",
            "a file that is missing is a failure",
            "an object that the transform refuses is a failure",
            "the same with direct put: nothing is put",
            "a body that is cut off is a failure",
            "a chunked body that is cut off is a failure",
            "the same with direct put: nothing is put",
        ],
        "not checked": [
            "GET of an object that the target has",
            "an object that is missing is a failure",
            "an object that breaks off at the target is a failure",
            *(name for name, _, _ in CHECKS if name.startswith("WebSocket")),
        ],
    }
    assert "the header is not honoured" in done.stdout


def test_a_transform_that_refuses_the_object_asks_for_another() -> None:
    with careless(422) as url:
        done = check(url)
    assert done.exit_code == 1
    assert "422; give an object that the transform takes with --object FILE: an object of instore check" in done.stdout
    assert "a PUT has no result to compare with" in done.stdout


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("127.0.0.1:8000", "'127.0.0.1:8000' is not the URL of a server; expected http://HOST:PORT"),
        ("http://127.0.0.1:1", "can't use http://127.0.0.1:1: Connection refused"),
        ("http://127.0.0.1:99999", "is not the URL of a server"),
    ],
)
def test_what_can_not_be_checked_is_one_sentence_and_code_2(url: str, sentence: str) -> None:
    done = check(url)
    assert done.exit_code == 2
    assert sentence in done.stderr


SDK = """
    import sys
    from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

    class Upper(HTTPMultiThreadedServer):
        def transform(self, data, path, etl_args):
            if data.startswith(b"bad"):
                raise ValueError("it is bad")
            return data.upper()

    Upper(host="127.0.0.1", port=int(sys.argv[1])).start()
"""


@pytest.mark.whole
def test_a_known_fault_of_the_sdk_s_threaded_server_is_found(tmp_path: Path) -> None:
    (tmp_path / "sdk.py").write_text(textwrap.dedent(SDK))
    port, target = free_port(), free_port()
    environment = {**os.environ, "AIS_TARGET_URL": f"http://127.0.0.1:{target}/v1/etl/_object/test/test-secret"}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "sdk.py", str(port)], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            while check(f"http://127.0.0.1:{port}").exit_code == 2:
                assert process.poll() is None, (tmp_path / "log").read_text()
            done = check(f"http://127.0.0.1:{port}", "--bad", "bad", "--target-port", str(target))
        finally:
            process.kill()
    assert done.exit_code == 1
    assert verdicts(done)["FAILED"] == [
        "PUT with a chunked body",
        "a body that is cut off is a failure",
        "the same with direct put: nothing is put",
    ]
