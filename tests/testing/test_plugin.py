"""The plugin for pytest: its fixtures, and that it costs nothing where none is used."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.testing import LocalNode

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
    script = "import importlib.metadata as m; print(*(e.value for e in m.entry_points(group='pytest11')))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "instore.testing.plugin" in run.stdout.split()


def test_a_node_that_can_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"the node did not start: .*data"), LocalNode(tmp_path):
        pass
