"""Our server under other people's commands: how much runs at once, what breaks off, how it starts and stops."""

import http.client
import resource
import signal
import socket
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.compat.commands import FASTAPI, FLASK, KINDS, THREADED, Kind, free_port, serving, variables
from tests.support.environments import OWN, need
from tests.support.servers import Server
from tests.support.target import Target, running_target

pytestmark = pytest.mark.whole

_SOURCE = """
    import resource, threading, time
    from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

    class Tell(FastAPIServer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.meeting = threading.Barrier(2)
            self.running = self.most = 0

        def transform(self, data, path, etl_args):
            match etl_args:
                case "meet":
                    self.meeting.wait(30)
                case "limits":
                    return repr(resource.getrlimit(resource.RLIMIT_NOFILE)).encode()
                case "count":
                    self.running += 1
                    self.most = max(self.most, self.running)
                    time.sleep(0.02)
                    self.running -= 1
                case "text":
                    return "grün"
                case "most":
                    return str(self.most).encode()
            return b"<" + data + b">"
"""
_STREAM = """
    from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

    class Tell(FastAPIServer):
        def transform_stream(self, reader, path, etl_args):
            if etl_args == "endless":
                while True:
                    yield b"x" * 65536
            while chunk := reader.read(65536):
                yield chunk
            if etl_args == "fail":
                raise ValueError("the end is missing")
"""
_GUNICORNS = {
    "sync": "",
    "threads": " --worker-class gthread --threads 4",
    "forked": " --preload --workers 2",
}

Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a source under a kind of server."""
    need(OWN)

    @contextmanager
    def started(source: str, kind: Kind, options: str = "", **extra: str) -> Iterator[Server]:
        port = free_port()
        (tmp_path / "etl.py").write_text(kind.source(textwrap.dedent(source), "Tell", port))
        command = kind.command.format(module="etl", port=port) + options
        with serving(command, port, tmp_path, OWN, extra) as server:
            yield server

    return started


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as target:
        yield target


def _put(server: Server, args: str = "", body: bytes = b"data") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        connection.request("PUT", f"/b/o?etl_args={args}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _together(server: Server, args: str, count: int) -> list[tuple[int, bytes]]:
    answers: list[tuple[int, bytes]] = []
    threads = [threading.Thread(target=lambda: answers.append(_put(server, args))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("kind", [FASTAPI, FLASK], ids=lambda kind: kind.name)
def test_one_transform_runs_at_a_time(kind: Kind, start: Start) -> None:
    with start(_SOURCE, kind) as server:
        assert _together(server, "count", 6) == [(200, b"<data>")] * 6
        assert _put(server, "most") == (200, b"1")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_text_is_a_result_where_the_web_framework_takes_it(kind: Kind, start: Start) -> None:
    with start(_SOURCE, kind) as server:
        status, body = _put(server, "text")
        if kind is THREADED:
            assert (status, b"returned str, not bytes" in body) == (422, True)
        else:
            assert (status, body) == (200, "grün".encode())


@pytest.mark.parametrize(
    ("kind", "options"), [(THREADED, ""), (FLASK, _GUNICORNS["threads"])], ids=["threaded", "gunicorn-threads"]
)
def test_requests_meet_where_each_has_a_thread(kind: Kind, options: str, start: Start) -> None:
    with start(_SOURCE, kind, options) as server:
        assert _together(server, "meet", 2) == [(200, b"<data>")] * 2


def test_a_stated_concurrency_holds_behind_the_threads_of_gunicorn(start: Start) -> None:
    source = _SOURCE.replace("def __init__", "concurrency = 1\n\n        def __init__", 1)
    with start(source, FLASK, _GUNICORNS["threads"]) as server:
        assert _together(server, "count", 6) == [(200, b"<data>")] * 6
        assert _put(server, "most") == (200, b"1")


@pytest.mark.parametrize("options", ["", " --workers 2"], ids=["one", "workers"])
def test_the_limit_on_open_files_is_raised_under_uvicorns_own_command(options: str, start: Start) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = f"sh -c 'ulimit -Sn 200 && exec {FASTAPI.command}{options}'"
    kind = Kind("low", FASTAPI.module, FASTAPI.cls, low, FASTAPI.footer)
    with start(_SOURCE, kind) as server:
        assert _put(server, "limits") == (200, f"({hard}, {hard})".encode())


@pytest.mark.parametrize("options", _GUNICORNS.values(), ids=_GUNICORNS)
@pytest.mark.parametrize("source", [_SOURCE, _STREAM], ids=["buffered", "streamed"])
def test_a_body_that_ends_early_is_no_object(source: str, options: str, start: Start, target: Target) -> None:
    beginnings = {
        "with a length": b"Content-Length: 1000\r\n\r\n" + b"x" * 10,
        "chunked, between chunks": b"Transfer-Encoding: chunked\r\n\r\na\r\n" + b"x" * 10 + b"\r\n",
        "chunked, within a chunk": b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 10,
    }
    with start(source, FLASK, options, AIS_TARGET_URL=target.url) as server:
        for how, beginning in beginnings.items():
            head = f"PUT /b/o HTTP/1.1\r\nHost: h\r\nAis-Node-Url: {target.host}/dst?owt=1\r\n".encode()
            with socket.create_connection((server.host, server.port)) as connection:
                connection.sendall(head + beginning)
                connection.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")), how
            assert target.puts == [], how
        assert _put(server)[0] == 200


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_stream_that_fails_midway_breaks_the_framing(kind: Kind, start: Start) -> None:
    with start(_STREAM, kind, INSTORE_SPOOL="0") as server:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            _put(server, "fail", b"x" * 5_000_000)
        assert _put(server) == (200, b"data")
        assert "BrokenResponseError" not in server.log_text()  # its reason is there, the server's own stack is not
        assert "the end is missing" in server.log_text()


@pytest.mark.parametrize("options", _GUNICORNS.values(), ids=_GUNICORNS)
def test_a_client_that_leaves_a_stream_frees_its_turn(options: str, start: Start) -> None:
    source = _STREAM.replace("def transform_stream", "concurrency = 1\n\n        def transform_stream")
    with start(source, FLASK, options) as server:
        for _ in range(3):
            with socket.create_connection((server.host, server.port)) as connection:
                connection.sendall(b"PUT /b/o?etl_args=endless HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
                assert connection.recv(100_000).startswith(b"HTTP/1.1 200")
        assert _put(server) == (200, b"data")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_head_has_no_body(kind: Kind, start: Start) -> None:
    with start(_SOURCE, kind) as server, socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_start_serves_until_it_is_told_to_stop_and_then_returns(kind: Kind, tmp_path: Path) -> None:
    need(OWN)
    port = free_port()
    footer = '\n\nTell("127.0.0.1", {port}).start()\nprint("returned", flush=True)\n'
    started = Kind(kind.name, kind.module, kind.cls, "python {module}.py", footer)
    (tmp_path / "etl.py").write_text(started.source(textwrap.dedent(_SOURCE), "Tell", port))
    with serving("python etl.py", port, tmp_path, OWN, {}) as server:
        assert _put(server) == (200, b"<data>")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert server.log_text().endswith("returned\n")


def test_a_missing_target_stops_a_command_with_a_sentence(tmp_path: Path) -> None:
    need(OWN)
    (tmp_path / "etl.py").write_text(FASTAPI.source(textwrap.dedent(_SOURCE), "Tell", 8000))
    environment = {key: value for key, value in variables(OWN, {}).items() if key != "AIS_TARGET_URL"}
    done = subprocess.run(
        [OWN.programs / "instore", "exec", "uvicorn", "etl:fastapi_app"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "no target URL: set AIS_TARGET_URL" in done.stderr


def test_serve_takes_a_file_written_for_the_sdk(tmp_path: Path) -> None:
    """Each name, without its own command, two workers; a FlaskServer too, whose `app` is WSGI."""
    need(OWN)
    for kind in KINDS:
        port = free_port()
        (tmp_path / "etl.py").write_text(kind.source(textwrap.dedent(_SOURCE), "Tell", port))
        command = f"instore serve etl.py --host 127.0.0.1 --port {port} --workers 2"
        with serving(command, port, tmp_path, OWN, {}) as server:
            assert _put(server) == (200, b"<data>"), kind.name


def test_serve_takes_the_object_that_the_file_has_made(tmp_path: Path) -> None:
    """With its arguments, and without making another: its constructor may load a model."""
    need(OWN)
    port = free_port()
    (tmp_path / "etl.py").write_text(
        textwrap.dedent("""
            from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

            class Tell(FastAPIServer):
                made = 0

                def __init__(self, model):
                    super().__init__(port=8000)
                    Tell.made += 1
                    self.model = model

                def transform(self, data, path, etl_args):
                    return f"{self.model} {self.made}"

            server = Tell("large")
            app = server.app
        """)
    )
    with serving(f"instore serve etl.py --host 127.0.0.1 --port {port}", port, tmp_path, OWN, {}) as server:
        assert _put(server) == (200, b"large 1")


def test_transform_takes_a_file_written_for_the_sdk(tmp_path: Path) -> None:
    need(OWN)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "etl.py").write_text(THREADED.source(textwrap.dedent(_SOURCE), "Tell", 8000))
    command = [str(OWN.programs / "instore"), "transform", "etl.py", "in", "out"]
    done = subprocess.run(command, env=variables(OWN, {}), cwd=tmp_path, capture_output=True, text=True)
    assert (tmp_path / "out" / "a.txt").read_text() == "<a>", done.stderr
