"""`instore transform --part`: commands at once that share a folder."""

import json
import random
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from instore.offline.part import JobPart
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


COUNTED = """
    import os, time
    from instore import ETLServer

    class Counted(ETLServer):
        def __init__(self):
            super().__init__()
            self.file = os.open("counted", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def transform(self, data, path, etl_args):
            time.sleep(float(etl_args))
            os.write(self.file, (path.partition("/")[2] + "\\n").encode())
            return data.upper()
"""
PARTS = 16


def with_kills(objects: int, seed: int, most_at_once: int, kills: int, seconds: str) -> tuple[int, int]:
    """Run all parts in a random order, some at once; kill commands at random moments of the job, and run these again.

    Returns:
        How many objects were transformed in all, and how many commands were killed.
    """
    Path("counted.py").write_text(textwrap.dedent(COUNTED))
    chance = random.Random(seed)
    left = chance.sample(range(PARTS), PARTS)
    running: dict[int, subprocess.Popen[bytes]] = {}
    moments = sorted(chance.sample(range(objects), kills))  # objects that are transformed until then
    counted, killed = Path("counted"), 0
    counted.touch()
    while left or running:
        while left and len(running) < most_at_once:
            part = left.pop()
            line = ["instore", "transform", "counted.py", "src", "dst", "--workers", "1", "--args", seconds]
            line += ["--part", f"{part}/{PARTS}", "--report", "r.jsonl"]
            with Path(f"said-{part}").open("wb") as said:
                running[part] = subprocess.Popen([sys.executable, "-m", *line], stdout=said, stderr=said)
        time.sleep(0.1 * chance.random())
        for part, command in list(running.items()):
            if command.poll() is not None:
                assert command.returncode == 0, Path(f"said-{part}").read_text()
                del running[part]
        begun = [part for part in running if (Path("dst/.instore-partial") / f"part-{part}-of-{PARTS}").exists()]
        if begun and killed < kills and counted.read_bytes().count(b"\n") >= moments[killed]:
            part = chance.choice(begun)
            running[part].kill()
            running.pop(part).wait()
            left.insert(0, part)
            killed += 1
    return counted.read_bytes().count(b"\n"), killed


def check_whole(names: list[str]) -> None:
    """The results, and what the reports say in all, are those of one command."""
    assert tree(Path("dst")) == {name: f"object {name}".upper().encode() for name in names}
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    last = {line["name"]: line["outcome"] for line in lines if "name" in line}
    assert sorted(last) == sorted(names)
    assert set(last.values()) <= {"done", "already there"}
    done = Counter(line["name"] for line in lines if line.get("outcome") == "done")
    assert max(done.values()) == 1, "an object whose result was there was made again"


@pytest.mark.whole
def test_parts_that_are_killed_and_run_again_are_the_whole_job() -> None:
    names = [f"d{number % 5}/{number}" for number in range(200)]
    fill(Path("src"), names)
    _, killed = with_kills(len(names), seed=17, most_at_once=4, kills=8, seconds="0.02")
    assert killed
    check_whole(names)


@pytest.mark.soak
def test_parts_that_are_killed_do_little_twice() -> None:
    """Each part is killed about once; prints what the documentation says (docs/cluster.md)."""
    names = [f"d{number % 7}/{number:05}" for number in range(16_000)]
    fill(Path("src"), names)
    for name in NAMES:
        (Path("src") / name).unlink()
    transformed, killed = with_kills(len(names), seed=1, most_at_once=8, kills=PARTS, seconds="0.02")
    check_whole(names)
    sizes = Counter(next(part for part in range(PARTS) if JobPart(part, PARTS).has(name)) for name in names)
    twice, waited = transformed / len(names) - 1, max(sizes.values()) * PARTS / len(names) - 1
    print(f"\n{len(names)} objects in {PARTS} parts, {killed} kills: {twice:.2%} done twice, {waited:.2%} waited for")
    assert killed > PARTS // 2
    assert twice + waited < 0.05


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
