"""The plugin for pytest: its fixtures, and that it costs nothing where none is used."""

import importlib.metadata
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.testing import LocalNode, Server
from tests.support.servers import TRANSFORMS

TESTS = """
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            return data.upper()

    def test_server(etl_server):
        assert etl_server(Upper).put("b/o", b"x").body == b"X"

    def test_bucket(ais_node, ais_bucket):
        import aistore

        buckets = aistore.Client(ais_node.endpoint).cluster().list_buckets()
        assert [bucket.name for bucket in buckets] == [ais_bucket.name]
        ais_bucket.object("o").get_writer().put_content(b"data")
        assert ais_bucket.object("o").get_reader().read_all() == b"data"

    def test_another_bucket(ais_bucket):
        assert ais_bucket.list_all_objects() == []
"""


def run(folder: Path, *options: str) -> str:
    (folder / "test_it.py").write_text(textwrap.dedent(TESTS))
    command = [sys.executable, "-m", "pytest", "-rs", "-q", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


def test_a_server_is_a_fixture(etl_server: Callable[..., Server]) -> None:
    assert etl_server(TRANSFORMS / "buffered.py").put("b/o", b"x").body == b"<X>"


@pytest.mark.whole
def test_the_fixtures_work(tmp_path: Path) -> None:
    output = run(tmp_path)
    assert "3 passed" in output, output


@pytest.mark.whole
def test_a_missing_client_is_a_reason_to_skip(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import sys; sys.modules['aistore'] = None")
    output = run(tmp_path, "-k", "another")
    assert "1 skipped" in output, output
    assert "ais_bucket needs AIStore's client: pip install 'instore[ais]'" in output


def test_the_plugin_imports_next_to_nothing() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import instore.testing.plugin; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "instore\n", run.stderr


def test_an_installed_instore_registers_it() -> None:
    plugins = importlib.metadata.entry_points(group="pytest11")
    assert "instore.testing.plugin" in [plugin.value for plugin in plugins]


@pytest.mark.whole
def test_a_node_that_can_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"the node did not start: .*data"), LocalNode(tmp_path):
        pass


@pytest.mark.whole
def test_a_node_and_a_server_end_with_whoever_started_them(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from instore.testing import LocalNode, Server\n"
        "with LocalNode(sys.argv[1]) as node, Server(sys.argv[2]) as server:\n"
        "    print(node.endpoint, server.url, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(TRANSFORMS / "buffered.py")]
    urls = subprocess.run(command, capture_output=True, text=True).stdout.split()
    assert len(urls) == 2
    until = time.monotonic() + 60
    while not all(is_gone(url) for url in urls):
        assert time.monotonic() < until
        time.sleep(0.01)


def is_gone(url: str) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
    except OSError:
        return True
    return False
