"""`instore pack` and `instore unpack` as commands."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instore.offline.folder_destination import PARTIAL
from tests.offline.support import fill, tree


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()


def instore(*arguments: str) -> tuple[int, str]:
    run = subprocess.run([sys.executable, "-m", "instore", *arguments], capture_output=True, text=True)
    return run.returncode, run.stderr


def test_a_folder_goes_into_shards_and_back() -> None:
    fill(Path("src"), ["a.txt", "d/b.txt", "d/b.json", "bytes-\udcff"])
    assert instore("pack", "src", "shards/%02d.tar", "--size", "3kB")[0] == 0
    assert instore("unpack", "shards", "dst")[0] == 0
    assert tree(Path("dst")) == tree(Path("src"))


@pytest.mark.whole
def test_a_pack_that_is_killed_leaves_whole_shards_and_goes_on() -> None:
    fill(Path("src"), [f"{number:05d}" for number in range(3000)])
    command = [sys.executable, "-m", "instore", "pack", "src", "dst/%04d.tar", "--size", "4kB"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not Path("dst/0003.tar").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    made = set(tree(Path("dst"))) - {name for name in tree(Path("dst")) if name.startswith(PARTIAL)}
    code, said = instore("pack", "src", "dst/%04d.tar", "--size", "4kB")
    assert (code, f"{len(made)} of them already there" in said) == (0, True)
    assert not Path("dst", PARTIAL).exists()
    assert instore("unpack", "dst", "back")[0] == 0
    assert tree(Path("back")) == tree(Path("src"))


@pytest.mark.whole
def test_an_interrupted_unpack_goes_on() -> None:
    fill(Path("src"), [f"{number:05d}" for number in range(2000)])
    instore("pack", "src", "shards/%04d.tar", "--size", "20kB")
    process = subprocess.Popen([sys.executable, "-m", "instore", "unpack", "shards", "dst"], stderr=subprocess.PIPE)
    while process.poll() is None and not Path("dst/00000").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1].endswith(b"interrupted; the same command goes on from here\n")
    assert process.returncode == 130
    assert instore("unpack", "shards", "dst")[0] == 0
    assert tree(Path("dst")) == tree(Path("src"))


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("pack", "src", "dst/%d.tar"), 1, "there are no files in SRC"),
        (("pack", "src", "out.tar"), 2, "it takes one number and an ending"),
        (("pack", "src", "dst/%d.tar", "--size", "big"), 2, "--size big is no size"),
        (("unpack", "src", "dst"), 1, "there are no shards in SRC"),
        (("unpack", "none", "dst"), 2, "SRC none does not exist"),
    ],
)
def test_what_can_not_be_done_is_one_line(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    returned, said = instore(*arguments)
    assert (returned, len(said.splitlines()), sentence in said) == (code, 1, True)
