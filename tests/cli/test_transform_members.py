"""`instore transform --members`: shards of a folder or bucket, and what is said of their members."""

import json
import os
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest
from aistore.sdk.etl import ETLConfig

import instore
from tests.offline.support import tree
from tests.shards.archives import content, shard, tar
from tests.support.node import running_node

TRANSFORM = """
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if b"bad" in data:
                raise ValueError("it is bad")
            return data.upper()
"""
FILES = {"a.txt": b"one", "b.bin": b"two", "bad.txt": b"bad"}


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("src").mkdir()


def transform(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "dst", "--workers", "1", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_members_that_fail_are_counted_and_named() -> None:
    Path("src/x.tar").write_bytes(tar(FILES))
    Path("src/d").mkdir()
    Path("src/d/y.zip").write_bytes(shard("zip", FILES))
    run = transform("--members", "*.txt", "--members-on-error", "drop", "--report", "r.jsonl", "--log-file", "log")
    assert run.returncode == 0
    assert content("tar", Path("dst/x.tar").read_bytes()) == {"a.txt": b"ONE", "b.bin": b"two"}
    assert content("zip", Path("dst/d/y.zip").read_bytes()) == {"a.txt": b"ONE", "b.bin": b"two"}
    assert "members of shards: 2 transformed, 2 copied, 2 dropped" in run.stderr
    assert "dropped d/y.zip!bad.txt: the transform of 'src/d/y.zip!bad.txt' failed: ValueError: it is bad" in run.stderr
    assert "1 more dropped" in run.stderr
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert {line["name"]: line["outcome"] for line in lines if "name" in line} == {
        "x.tar": "done",
        "d/y.zip": "done",
        "x.tar!bad.txt": "dropped",
        "d/y.zip!bad.txt": "dropped",
    }
    summary = lines[-1]["summary"]
    assert (summary["members_transformed"], summary["members_copied"], summary["members_failed"]) == (2, 2, 2)
    assert "dropped x.tar!bad.txt: " in Path("log").read_text()


@pytest.mark.whole
def test_a_member_that_fails_is_named_with_its_shard() -> None:
    Path("src/x.tar").write_bytes(tar(FILES))
    Path("src/cut.tar").write_bytes(tar({"a.txt": b"x" * 2000})[:1500])
    Path("src/none.txt").write_bytes(b"no shard")
    run = transform("--members", "*.txt", "--continue-on-error", "--report", "r.json", "-v")
    assert run.returncode == 1
    assert "failed x.tar: the transform of 'src/x.tar!bad.txt' failed: ValueError: it is bad" in run.stderr
    assert "at upper.py:7 in transform" in run.stderr
    assert "failed cut.tar: the shard is damaged: it is truncated: it ends at byte 1500" in run.stderr
    assert "failed none.txt: it is no shard" in run.stderr
    assert tree(Path("dst")) == {}


@pytest.mark.whole
def test_other_members_make_other_results() -> None:
    Path("src/x.tar").write_bytes(tar({"a.txt": b"one", "b.bin": b"two"}))
    assert transform("--members", "*.txt").returncode == 0
    run = transform("--members", "*.bin", "--update")
    assert "1 results in DST were made with other arguments, and are made again" in run.stderr
    assert content("tar", Path("dst/x.tar").read_bytes()) == {"a.txt": b"one", "b.bin": b"TWO"}


@pytest.mark.whole
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--members-on-error", "drop"), "needs --members"),
        (("--members", "*", "--members-on-error", "ignore"), "it takes fail, drop, keep"),
        (("--members", "{1..100000}"), "is no pattern"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: tuple[str, ...], sentence: str) -> None:
    run = transform(*options)
    assert (run.returncode, sentence in run.stderr) == (2, True)


@pytest.mark.whole
def test_the_library_does_the_same() -> None:
    Path("src/x.tar").write_bytes(tar(FILES))
    report = instore.run("upper.py", "src", "dst", members="*.txt", members_on_error="keep", progress=False)
    assert (report.ok, report.members_transformed, report.members_copied, report.members_failed) == (True, 1, 1, 1)
    assert content("tar", Path("dst/x.tar").read_bytes()) == {**FILES, "a.txt": b"ONE"}


@pytest.mark.whole
def test_a_node_does_the_same(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        bucket = node.client().bucket("shards").create()
        bucket.object("x.tar").get_writer().put_content(tar(FILES))
        etl = node.client().etl("members-etl")

        class Upper(instore.ETLServer):
            def transform(self, data, path, etl_args):  # type: ignore[no-untyped-def]
                return data.upper()

        etl.init_class(INSTORE_MEMBERS="*.txt")(Upper)
        read = bucket.object("x.tar").get_reader(etl=ETLConfig(etl.name)).read_all()
        assert content("tar", read) == {"a.txt": b"ONE", "b.bin": b"two", "bad.txt": b"BAD"}
        job = subprocess.run(
            [sys.executable, "-m", "instore", "transform", "upper.py", "ais://shards", "dst", "--members", "a.*"],
            env={**os.environ, "AIS_ENDPOINT": node.endpoint},
            capture_output=True,
            text=True,
        )
        assert (job.returncode, "1 transformed, 2 copied" in job.stderr) == (0, True)
        assert content("tar", Path("dst/x.tar").read_bytes()) == {**FILES, "a.txt": b"ONE"}


COUNTS = """
    from instore import ETLServer

    class Counts(ETLServer):
        def transform(self, data, path, etl_args):
            return b"%d" % len(data)
"""


@pytest.mark.soak
def test_twenty_gigabytes_take_no_memory() -> None:
    """20,000 members of 1 MB, which are holes; prints the most that a process of the job had in memory."""
    Path("counts.py").write_text(textwrap.dedent(COUNTS))
    size = 1_000_000
    with Path("src/large.tar").open("wb") as file:
        for number in range(20_000):
            info = tarfile.TarInfo(f"{number:05}.bin")
            info.size = size
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.seek(-(-size // 512) * 512, os.SEEK_CUR)
        file.write(bytes(1024))
    line = [sys.executable, "-m", "instore", "transform", "counts.py", "src", "dst", "--workers", "1"]
    command = subprocess.Popen([*line, "--members", "*.bin"])
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    print(f"\n{Path('src/large.tar').stat().st_size / 1e9:.1f} GB, {usage.ru_maxrss >> 10} MiB in memory at most")
    assert command.returncode == 0
    with tarfile.open("dst/large.tar") as archive:
        assert sum(archive.extractfile(member).read() == b"1000000" for member in archive) == 20_000  # type: ignore[union-attr]
    assert usage.ru_maxrss < 200 << 10  # KiB
