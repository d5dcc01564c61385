"""`instore transform --part`: commands at once that share a folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.offline.support import fill, tree
from tests.support.servers import TRANSFORMS

NAMES = [f"d{number % 5}/{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("src"), NAMES)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "instore", "transform", str(TRANSFORMS / "upper.py"), "src", "dst"]
    return subprocess.Popen([*command, "--workers", "1", *arguments], stderr=subprocess.PIPE, text=True)


@pytest.mark.whole
def test_parts_at_once_are_the_whole_job() -> None:
    jobs = [start("--part", f"{index}/3", "--report", "r.jsonl") for index in range(3)]
    said = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert tree(Path("dst")) == {name: f"object {name}".upper().encode() for name in NAMES}
    assert sum(int(text.splitlines()[-1].split()[0]) for text in said) == 40
    entries = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert sorted(entry["name"] for entry in entries if "name" in entry) == sorted(NAMES)
    assert [path.name for path in Path("dst").iterdir() if not path.name.startswith("d")] == []


@pytest.mark.whole
@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--part", "3/3"), 2, "there is no part 3 of 3"),
        (("--part", "0/3", "--report", "r.json"), 2, "name a file that ends in .jsonl"),
        (("--part", "0/3", "--prefix", "none"), 1, "no object of SRC is selected by the prefix none"),
    ],
)
def test_what_means_nothing_is_one_line(options: tuple[str, ...], code: int, sentence: str) -> None:
    job = start(*options)
    said = job.communicate()[1]
    assert (job.returncode, sentence in said) == (code, True)
