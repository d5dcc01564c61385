"""The pages that open with code: it does what the page says.

A block of Python is written to the file that its first line names; a block of shell runs; a block of text behind it is
what that has printed. Where a command asks a server, it is that of the last of these files.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from instore.runtime.load import load_class
from instore.testing import Server
from tests.docs.test_links import ROOT
from tests.examples.support import EXAMPLES, photograph
from tests.testing.transforms import Picky

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONCEPTS = (
    "first-transform",
    "transform",
    "arguments",
    "results",
    "streaming",
    "batches",
    "stores",
    "serving",
    "pipelines",
    "websocket",
    "shipping",
    "tuning",
    "testing",
)
SERVED = "http://127.0.0.1:8000"


def blocks(page: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())


def named(code: str) -> tuple[str, str]:
    """The file that a block of Python is, and its text."""
    first, _, rest = code.partition("\n")
    return first.removeprefix("# "), rest


def free_port() -> str:
    """In place of a page's 8000, where a server of this machine may be."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def shell(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AIS_", "ETL_", "INSTORE_"))}
    # What it leaves running ends with it.
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{command}"
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, capture_output=True, text=True, env={**variables, "PATH": path}
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", CONCEPTS)
def test_a_page_opens_with_code_that_is_a_transform(page: str, tmp_path: Path) -> None:
    (kind, code), *_ = blocks(page)
    assert kind == "python"
    name, text = named(code)
    (tmp_path / name).write_text(text)
    if "__main__" not in text and "LocalNode" not in text:
        assert load_class(str(tmp_path / name)).__name__ in text
    compile(text, name, "exec")


@pytest.mark.whole
@pytest.mark.parametrize("page", CONCEPTS)
def test_a_page_s_code_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    name = printed = ""
    ran = 0
    port = free_port()
    for kind, code in blocks(page):
        if kind == "python":
            name, text = named(code)
            (tmp_path / name).write_text(text)
        elif kind == "sh":
            is_asked = SERVED in code and "instore serve" not in code  # what the page has shown is served meanwhile
            with Server(tmp_path / name) if is_asked else contextlib.nullcontext() as server:
                code = code.replace(SERVED, server.url) if server else code.replace("8000", port)
                printed = shell(code, tmp_path)
            ran += 1
        elif kind == "text":
            assert printed == code
    assert ran >= 1


@pytest.mark.whole
def test_a_failed_object_is_logged_as_the_page_says() -> None:
    (line,) = (line for line in (ROOT / "docs" / "serving.md").read_text().splitlines() if "instore.outcome" in line)
    with Server(Picky) as server:
        server.file(__file__)
        (logged,) = (line for line in server.log.splitlines() if "instore.outcome" in line)
    words = re.compile(r" (\w+)=")
    assert words.findall(logged) == words.findall(line)
    assert " WARNING instore.outcome request=1 " in logged


@pytest.mark.whole
def test_a_job_from_python_does_what_its_page_says(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "first.txt").write_text("hello\n")
    (tmp_path / "job.py").write_text(blocks("jobs")[0][1])
    assert shell("python job.py", tmp_path) == "1 0 0 0\n"
    assert (tmp_path / "loud" / "first.md").read_text() == "HELLO\n"


@pytest.mark.whole
def test_members_of_shards_are_transformed_as_their_page_says(tmp_path: Path) -> None:
    (tmp_path / "thumbs.py").write_text((EXAMPLES / "thumbnails.py").read_text())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "rocket.jpg").write_bytes(photograph("rocket.jpg").read_bytes())
    shell("instore pack photos shards/a-%06d.tar", tmp_path)
    shell(blocks("shards")[0][1].splitlines()[0], tmp_path)
    assert shell("tar -tf small/a-*.tar", tmp_path) == "rocket.jpg\n"
