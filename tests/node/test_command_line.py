"""AIStore's own command line against a node: the table of docs/node.md, line by line."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import UnavailableError
from tests.support.go_programs import go_program
from tests.support.node import running_node

pytestmark = pytest.mark.whole

_PACKAGE, _VERSION = "github.com/NVIDIA/aistore/cmd/cli", "v1.5.0"
PAGE = Path(__file__).parents[2] / "docs" / "node.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*) \|$", re.MULTILINE)
UPPER = """
from instore import ETLServer

class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        return data.upper()
"""
SORT = """{"input_bck": {"name": "a"}, "input_extension": ".tar", "input_format": {"template": "s-{0..1}"},
"output_format": "o-{0..1}", "output_shard_size": "1KB"}"""


def rows() -> list[tuple[str, str]]:
    """The commands of the table, and what it says of each."""
    section = PAGE.read_text().partition("## The `ais` command line")[2].partition("\n## ")[0]
    return ROW.findall(section)


def test_every_command_does_what_the_table_says(tmp_path: Path) -> None:
    program = find_program()
    folder = tmp_path / "files"
    prepare(folder)
    with running_node(tmp_path, 2, options=["--images", str(folder)]) as node:
        environment = {"AIS_ENDPOINT": node.endpoint, "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        wrong = [
            f"ais {command}\n  expected {says}, got:\n{out}"
            for command, says in rows()
            if (out := run(program, command, says, folder, environment)) is not None
        ]
        assert wrong == [], "\n".join(wrong)
        assert "Traceback" not in node.log.read_text()
    assert len(rows()) > 90


def find_program() -> str | Path:
    if program := os.environ.get("AIS_CLI") or shutil.which("ais"):
        return program
    try:
        return go_program("ais", _PACKAGE, _VERSION)
    except UnavailableError as error:
        pytest.skip(str(error))


def prepare(folder: Path) -> None:
    """The files that the table's commands name."""
    (folder / "photos" / "old").mkdir(parents=True)
    (folder / "note.txt").write_text("hello\n")
    for name in ("cat.jpg", "dog.jpg", "old/cow.jpg"):
        (folder / "photos" / name).write_text(name)
    (folder / "upper.py").write_text(UPPER)
    (folder / "sort.json").write_text(SORT)
    (folder / "instore-0-py3-none-any.whl").write_bytes(b"")
    write = ["-m", "instore", "spec", "upper.py", "--name", "upper-etl", "--wheel", "instore-0-py3-none-any.whl"]
    subprocess.run([sys.executable, *write], cwd=folder, check=True, capture_output=True)


def run(program: str | Path, command: str, says: str, folder: Path, environment: dict[str, str]) -> str | None:
    """Run one command; what came, if it is not what the table says."""
    done = subprocess.run(
        [program, *shlex.split(command)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    text = re.search(r"`([^`]+)`", says)
    out = done.stdout + done.stderr
    expected = done.returncode == 0 if says.startswith("works") else done.returncode != 0
    return None if expected and (text is None or text[1] in out) else f"{done.returncode}: {out}"
