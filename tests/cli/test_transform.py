import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from instore.offline.folder_destination import PARTIAL
from tests.offline.support import fill, tree
from tests.support.metrics import documented, read_metrics
from tests.support.target import running_target
from tests.support.web import web_server

TRANSFORM = """
    import os, signal, time
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            name = os.path.basename(path)
            if name.startswith("bad"):
                raise ValueError(f"{name} is bad")
            if name.startswith("killer"):
                os.kill(os.getpid(), signal.SIGKILL)
            if etl_args == "slowly":
                time.sleep(0.05)
            return data.upper()
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIS_TARGET_URL", raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("src").mkdir()


def start(*arguments: str, stdin: "TextIO | int" = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "instore", "transform", "upper.py", *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.returncode, out, err


def transform(*arguments: str) -> tuple[int, str, str]:
    return finish(start(*arguments))


def shouted(names: list[str]) -> dict[str, bytes]:
    return {name: f"object {name}".encode("utf-8", "surrogateescape").upper() for name in names}


@contextlib.contextmanager
def half_way(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that has written some of its results."""
    process = start(*arguments)
    while process.poll() is None and not any(path.is_file() for path in Path("dst").glob("x*")):
        time.sleep(0.01)
    yield process


def test_a_folder_becomes_a_folder_of_results() -> None:
    long = "/".join(["日" * 85] * 12)  # 20 KB once it is escaped for the wire
    names = ["a.txt", "d/b c%41#?.txt", "d/new\nline", "bytes-\udcff", "n" * 255, long]
    fill(Path("src"), names)
    Path("src/empty").touch()
    code, out, err = transform("src", "dst", "--workers", "2")
    assert (code, out) == (0, ""), err
    assert tree(Path("dst")) == {**shouted(names), "empty": b""}
    assert "7 done, 0 already there, 0 skipped, 0 failed" in err
    assert os.listdir("tmp") == []


def test_the_help_fits_a_screen_and_has_an_example() -> None:
    command = [sys.executable, "-m", "instore", "transform", "--help"]
    shown = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"}
    ).stdout
    assert len(shown.splitlines()) <= 44
    assert max(map(len, shown.splitlines())) <= 80
    assert "instore transform thumbs.py photos small --ext png:jpg" in shown


def test_options_choose_name_and_count() -> None:
    fill(Path("src"), ["in/a.jpg", "in/b.gif", "out/c.jpg"])
    options = ("--prefix", "in/", "--ext", "jpg:png", "--ext", "gif:webp", "--prepend", "p/q-", "--workers", "1")
    code, _, err = transform("src", "dst", *options)
    assert code == 0, err
    assert set(tree(Path("dst"))) == {"p/q-in/a.png", "p/q-in/b.webp"}


def test_a_folder_with_a_colon_in_its_path_is_a_folder() -> None:
    fill(Path("at 12:30:00/src"), ["a"])
    code, _, err = transform("at 12:30:00/src", "dst", "--workers", "1")
    assert code == 0, err
    assert tree(Path("dst")) == shouted(["a"])


def test_without_continue_the_first_failure_stops_and_is_named() -> None:
    fill(Path("src"), ["bad\n1", *(f"x{i}" for i in range(300))])
    code, _, err = transform("src", "dst", "--workers", "1", "--args", "slowly")
    assert code == 1
    assert "failed bad\\n1: " in err
    assert "is bad" in err
    assert 0 < len(tree(Path("dst"))) + 1 < 300


def test_with_continue_every_failure_is_listed_and_reported() -> None:
    fill(Path("src"), ["a", "bad1", "d/bad2", "killer", "bytes-\udcff"])
    Path("src/link").symlink_to("/etc/passwd")
    files = ("--report", "report.json", "--metrics", "job.prom")
    code, _, err = transform("src", "dst", "--continue-on-error", "--workers", "1", *files)
    assert code == 1
    for text in (
        "failed bad1: ",
        "1 more failed: the transform of 'src/…' failed: ValueError: … is bad\n  d/bad2\n",
        "failed killer: the worker was killed by signal 9 (out of memory?) twice while transforming it; ",
        "skipped link: a link that leads out of the source folder",
        "2 done, 0 already there, 1 skipped, 3 failed",
    ):
        assert text in err
    report = json.loads(Path("report.json").read_text())
    by_name = {line["name"]: line for line in report["objects"]}
    assert {name: line["outcome"] for name, line in by_name.items()} == {
        "a": "done",
        "bad1": "failed",
        "bytes-\udcff": "done",
        "d/bad2": "failed",
        "killer": "failed",
        "link": "skipped",
    }
    assert by_name["a"].pop("seconds") > 0
    assert by_name["a"] == {
        "name": "a", "outcome": "done", "error": None, "result": "a", "source_bytes": 8, "result_bytes": 8,
    }  # fmt: skip
    assert "bad1 is bad" in by_name["bad1"]["error"]
    assert report["summary"].pop("seconds") > 0
    assert report["summary"] == {
        "ended": "complete", "done": 2, "already_there": 0, "skipped": 1, "failed": 3,
        "source_bytes": 8 + 14, "result_bytes": 8 + 14,
    }  # fmt: skip
    told = read_metrics(Path("job.prom").read_text())
    assert {labels["source"] for _, labels, _ in told.samples} == {"src"}
    assert {labels["destination"] for _, labels, _ in told.samples} == {"dst"}
    for outcome in ("done", "already_there", "skipped", "failed"):
        assert told.sum("instore_transform_objects", outcome=outcome) == report["summary"][outcome]
    assert told.sum("instore_transform_bytes", direction="out") == 8 + 14
    assert told["instore_transform_complete"] == 0
    assert 0 <= time.time() - told["instore_transform_ended_timestamp_seconds"] < 600
    kinds = {name: (kind, {"source", "destination"}) for name, kind in told.kinds.items()}
    kinds["instore_transform_objects"][1].add("outcome")
    kinds["instore_transform_bytes"][1].add("direction")
    assert kinds == documented("transform")
    assert not list(Path().glob("job.prom?*"))


LOUD = """
    import json, logging
    from instore import ETLServer

    class Loud(ETLServer):
        def transform(self, data, path, etl_args):
            print("it has", len(data), end=" ")
            print("bytes\\nand no more", end="")
            logging.getLogger("mine").info("a detail")
            logging.getLogger("mine").warning("careful")
            if "bad" in path:
                self.read(b"{")
            return data

        def read(self, text):
            return json.loads(text)
"""


def test_a_failure_tells_where_in_the_users_code_it_is_from() -> None:
    Path("upper.py").write_text(textwrap.dedent(LOUD))
    fill(Path("src"), ["bad", "good"])
    code, _, err = transform("src", "dst", "--continue-on-error", "--report", "report.json", "--verbose")
    assert code == 1
    places = ['upper.py:12 in transform: self.read(b"{")', "upper.py:16 in read: return json.loads(text)"]
    lines = err.splitlines()
    failed = next(number for number, line in enumerate(lines) if line.startswith("failed bad: "))
    assert lines[failed].endswith(
        "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    assert lines[failed + 1 : failed + 3] == [f"  at {place}" for place in places]
    by_name = {line["name"]: line for line in json.loads(Path("report.json").read_text())["objects"]}
    assert by_name["bad"]["frames"] == places
    assert "frames" not in by_name["good"]
    _, _, err = transform("src", "dst", "--continue-on-error")
    assert "upper.py:12" not in err


def test_where_a_stream_broke_off_is_told_too() -> None:
    code = """
        from instore import ETLServer

        class Breaks(ETLServer):
            def transform_stream(self, reader, path, etl_args):
                yield b"x" * 5_000_000
                raise ValueError("the ink ran dry")
    """
    Path("upper.py").write_text(textwrap.dedent(code))
    fill(Path("src"), ["a"])
    _, _, err = transform("src", "dst", "-v")
    assert '\n  at upper.py:7 in transform_stream: raise ValueError("the ink ran dry")\n' in err


def test_what_a_transform_prints_and_logs_is_shown_with_its_worker_and_object() -> None:
    Path("upper.py").write_text(textwrap.dedent(LOUD))
    fill(Path("src"), ["a", "b"])
    code, _, err = transform("src", "dst", "--workers", "1")
    assert code == 0
    for name in "ab":
        assert f"worker 1: [src/{name}] it has 8 bytes\nworker 1: [src/{name}] and no more\n" in re.sub(
            r"worker 1: \[src/.\] \S+ \S+ WARNING mine careful\n", "", err
        )
    assert err.count(" WARNING mine careful\n") == 2
    assert "a detail" not in err
    assert "instore" not in err
    _, _, err = transform("src", "dst", "--overwrite", "--log-level", "info")
    assert err.count(" INFO mine a detail\n") == 2


def test_output_that_comes_too_fast_is_left_out_and_said() -> None:
    code = """
        from instore import ETLServer

        class Flood(ETLServer):
            def transform(self, data, path, etl_args):
                print(("x" * 99 + "\\n") * 100_000 + "the last line")
                return data
    """
    Path("upper.py").write_text(textwrap.dedent(code))
    fill(Path("src"), ["a"])
    code_, _, err = transform("src", "dst")
    assert code_ == 0
    assert "bytes of what it printed are left out here)" in err
    assert "the last line\n" in err
    assert len(err) < 5_000_000


def test_a_stream_that_breaks_off_says_why_and_leaves_no_result() -> None:
    Path("upper.py").write_text(
        textwrap.dedent("""
            from instore import ETLServer

            class Breaks(ETLServer):
                def transform_stream(self, reader, path, etl_args):
                    for _ in range(100):
                        yield b"x" * 65536
                    raise ValueError("the ink ran dry")
        """)
    )
    fill(Path("src"), ["a b"])
    code, _, err = transform("src", "dst", "--workers", "1")
    assert code == 1
    assert "failed a b: the answer broke off after " in err
    assert "; the worker's log says: " in err
    assert "the ink ran dry" in err
    assert tree(Path("dst")) == {}


def test_a_dry_run_lists_and_does_nothing() -> None:
    fill(Path("src"), ["a.jpg", "b.jpg", "new\nline-\udcff"])
    fill(Path("dst"), ["b.png"])
    Path("src/out").symlink_to("/etc/passwd")
    code, out, err = transform("src", "dst", "--ext", "jpg:png", "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "to do: a.jpg -> a.png",
        "already there: b.jpg -> b.png",
        "to do: new\\nline-\\xff -> new\\nline-\\xff",
        "skipped: out: a link that leads out of the source folder",
        "2 to do, 1 already there, 1 skipped, 0 failed; 29 bytes to read",
    ]
    assert set(tree(Path("dst"))) == {"b.png"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none", "dst"), "SRC none does not exist"),
        (("src", "src/out"), "DST src/out lies inside SRC src"),
        (("src", "dst", "--ext", "jpg"), "--ext jpg is malformed; expected OLD:NEW"),
        (("src", "dst", "--ext", "jpg:png"), "a.jpg and a.png would both become a.png"),
        (("src", "dst", "--prepend", "../x"), "--prepend ../x leads out of DST"),
        (("src", "dst", "--report", "src/report"), "--report src/report lies inside SRC"),
        (("src", "dst", "--report", "none/report"), "--report none/report can't be written: No such file"),
        (("src", "dst", "--dry-run", "--report", "x"), "--dry-run does nothing that a --report could tell"),
        (("src", "dst", "--metrics", "job.txt"), "--metrics job.txt: the node exporter reads only files that end in"),
        (("src", "dst", "--metrics", "none/job.prom"), "--metrics none/job.prom can't be written; name a file in"),
        (("src", "dst", "--metrics", "src/job.prom"), "--metrics src/job.prom lies inside SRC"),
        (("src", "dst", "--metrics", "ftp://gateway"), "--metrics: a push gateway's URL is a host and perhaps a path"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: tuple[str, ...], sentence: str) -> None:
    fill(Path("src"), ["a.jpg", "a.png"])
    code, out, err = transform(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.startswith("instore: ")
    assert err.count("\n") == 1
    assert not any(Path(name).exists() for name in ("x", "x.partial"))


def test_a_push_gateway_is_told_how_a_job_ended() -> None:
    fill(Path("src"), ["a", "b"])
    with running_target() as gateway:  # it notes what is put to it, as a gateway is
        code, _, err = transform("src", "dst", "--workers", "1", "--metrics", gateway.host)
        assert code == 0, err
        [put] = gateway.puts
        assert put.path.startswith("/metrics/job/instore_transform/")
        assert read_metrics(put.body.decode()).sum("instore_transform_objects", outcome="done") == 2
        gateway.answers.append((500, b"full"))
        code, _, err = transform("src", "dst", "--workers", "1", "--metrics", gateway.host)
    assert code == 2
    assert f"the job is over, but --metrics {gateway.host} was not told: " in err
    assert tree(Path("dst")) == shouted(["a", "b"])


def test_a_class_that_cannot_serve_says_so_itself() -> None:
    Path("upper.py").write_text("from instore import ETLServer\nclass Empty(ETLServer): pass\n")
    fill(Path("src"), ["a"])
    code, _, err = transform("src", "dst", "--workers", "2")
    assert code == 2
    assert err.startswith("instore: ")
    assert "overrides none of" in err
    assert err.count("\n") == 1


def test_a_second_command_on_the_same_destination_is_refused() -> None:
    fill(Path("src"), ["a"])
    Path("dst", PARTIAL).mkdir(parents=True)
    with Path("dst", PARTIAL, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = transform("src", "dst")
    assert code == 2
    assert "another command is writing to" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_cleans_up_and_goes_on_from_there(number: signal.Signals, code: int) -> None:
    names = [f"x{i:03}" for i in range(200)]
    fill(Path("src"), names)
    files = ("--report", "report.json", "--metrics", "job.prom")
    arguments = ("src", "dst", "--workers", "1", "--args", "slowly", *files)
    with half_way(*arguments) as process:
        process.send_signal(number)
        returned, _, err = finish(process)
    assert returned == code
    done = tree(Path("dst"))
    assert f"{len(done)} done, " in err
    assert "the same command goes on from here" in err
    assert shouted(list(done)) == done
    report = json.loads(Path("report.json").read_text())
    assert (report["summary"]["ended"], report["summary"]["done"]) == ("interrupted", len(done))
    told = read_metrics(Path("job.prom").read_text())
    assert told.sum("instore_transform_objects", outcome="done") == len(done)
    assert told["instore_transform_complete"] == 0
    assert os.listdir("tmp") == []
    code, _, err = transform("src", "dst", "--workers", "2", "--metrics", "job.prom")
    assert code == 0, err
    assert read_metrics(Path("job.prom").read_text())["instore_transform_complete"] == 1
    assert f"{200 - len(done)} done, {len(done)} already there" in err
    assert tree(Path("dst")) == shouted(names)


@pytest.mark.whole
def test_a_killed_command_loses_nothing_and_redoes_nothing_that_was_whole() -> None:
    names = [f"x{i:03}" for i in range(200)]
    fill(Path("src"), names)
    with half_way("src", "dst", "--workers", "2", "--args", "slowly") as process:
        process.kill()
        finish(process)
    done = {path.name: path.stat() for path in Path("dst").glob("x*")}
    assert 0 < len(done) < 200
    assert {name: (Path("dst") / name).read_bytes() for name in done} == shouted(list(done))
    code, _, err = transform("src", "dst", "--workers", "2")
    assert code == 0, err
    assert tree(Path("dst")) == shouted(names)
    for name, state in done.items():
        after = Path("dst", name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (state.st_ino, state.st_mtime_ns)


def test_a_terminal_gets_a_bar() -> None:
    fill(Path("src"), ["a", "b", "bad"])
    here, there = pty.openpty()
    command = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "dst", "--workers", "1"]
    with subprocess.Popen([*command, "--continue-on-error"], stderr=there, env={**os.environ, "TERM": "xterm"}):
        os.close(there)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes there any more
            while piece := os.read(here, 4096):
                shown += piece
    os.close(here)
    assert b"3/3, " in shown
    assert b"1 failed" in shown


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes Linux and root")
def test_a_full_disk_is_an_error_of_the_object_and_nothing_half_written_stays() -> None:
    for number in range(300):
        Path(f"src/x{number}").write_bytes(b"a" * 16384)
    Path("disk").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", "disk"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        code, _, err = transform("src", "disk/dst")
        results = [path.stat().st_size for path in Path("disk/dst").iterdir()]
    finally:
        subprocess.run(["umount", "disk"], check=True)
    assert code == 1
    assert "No space left on device" in err
    assert "Traceback" not in err
    assert results
    assert set(results) == {16384}


@pytest.mark.parametrize("value", ["0", "-1", "'4'", "True", "2.5", "None"])
def test_a_concurrency_that_is_none_ends_the_command_at_its_start(value: str) -> None:
    fill(Path("src"), ["a", "b"])
    source = (
        Path("upper.py")
        .read_text()
        .replace(
            "    def transform(", f"    def __init__(self):\n        self.concurrency = {value}\n\n    def transform("
        )
    )
    Path("upper.py").write_text(source)
    code, _, err = transform("src", "dst", "--workers", "2", "--report", "report.json")
    assert code == 2
    assert err.splitlines()[-1].endswith(f"Upper.concurrency is {eval(value)!r}; it takes a whole number of at least 1")
    assert not Path("report.json").exists()
    assert not any(Path("dst").iterdir())


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_harm_nothing(closed: tuple[int, ...]) -> None:
    fill(Path("src"), ["a", "b"])
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = f"exec {sys.executable} -m instore transform upper.py src dst {redirections}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert tree(Path("dst")) == shouted(["a", "b"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("limit", [64, 128])
def test_few_open_files_make_a_job_slower_and_nothing_else(limit: int) -> None:
    fill(Path("src"), [f"x{number:04}" for number in range(300)])
    command = f"ulimit -n {limit}; exec {sys.executable} -m instore transform upper.py src dst --workers 2"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(tree(Path("dst"))) == 300


def test_too_few_open_files_for_any_job_are_said_in_one_line() -> None:
    fill(Path("src"), ["a"])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 24; exec {sys.executable} -m instore transform upper.py src dst"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("instore: only 24 files may be open at once")


def test_a_report_goes_to_a_pipe_and_through_a_process_substitution() -> None:
    fill(Path("src"), ["a"])
    command = f"{sys.executable} -m instore transform upper.py src dst --report >(cat > copy.json); sleep 0.2"
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert json.loads(Path("copy.json").read_text())["summary"]["done"] == 1
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m instore transform upper.py src dst --report /dev/stdout | cat"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["summary"]["already_there"] == 1


@pytest.mark.whole
def test_what_failed_is_done_again_by_the_report_and_the_log_has_all_of_it() -> None:
    fill(Path("src"), ["a", "bad1", "bad2"])
    options = ("--continue-on-error", "--report", "report.jsonl", "--log-file", "job.log")
    assert transform("src", "dst", *options)[0] == 1
    log = Path("job.log").read_text()
    for name in ("bad1", "bad2"):
        assert log.count(f" failed {name}: the transform of 'src/{name}' failed: ValueError: {name} is bad\n") == 1
    assert log.count("  at upper.py:9 in transform: ") == 2
    Path("upper.py").write_text(Path("upper.py").read_text().replace('"bad"', '"bad2"'))
    fill(Path("src"), ["new"])
    code, _, err = transform("src", "dst", *options, "--retry-failed", "report.jsonl")
    assert code == 1
    assert "1 done, 0 already there, 0 skipped, 1 failed" in err
    assert set(tree(Path("dst"))) == {"a", "bad1"}
    Path("src/bad2").unlink()
    code, _, err = transform("src", "dst", *options, "--retry-failed", "report.jsonl")
    assert (code, "failed bad2: there is no such object in SRC" in err) == (1, True)
    assert Path("job.log").read_text().startswith(log)
    code, _, err = transform("src", "dst", "--retry-failed", "report.jsonl", "--files-from", "x")
    assert code == 2
    assert "--files-from x and --retry-failed report.jsonl both name the objects; leave one of them out\n" in err


@pytest.mark.whole
def test_a_report_of_lines_is_whole_after_a_kill() -> None:
    fill(Path("src"), [f"x{i:03}" for i in range(200)])
    process = start("src", "dst", "--workers", "1", "--args", "slowly", "--report", "report.jsonl")
    while not Path("report.jsonl").exists() or Path("report.jsonl").read_bytes().count(b"\n") < 5:
        time.sleep(0.01)
    process.kill()
    finish(process)
    lines = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["job"]
    assert {line["outcome"] for line in lines[1:]} == {"done"}
    assert {line["name"] for line in lines[1:]} <= set(tree(Path("dst")))


@pytest.mark.whole
def test_a_check_transforms_everything_and_writes_nothing() -> None:
    fill(Path("src"), ["a", "d/b", *(f"bad{number}" for number in range(30))])
    fill(Path("dst"), ["a"])
    before = sorted(Path().rglob("*"))
    for places in (("src",), ("src", "dst"), ("src", "new")):
        code, out, err = transform(*places, "--check")
        assert (code, out) == (1, ""), err
        named = [line.removeprefix("failed").strip().partition(":")[0] for line in err.splitlines()[:-1]]
        assert sorted(name for name in named if name.startswith("bad")) == sorted(f"bad{n}" for n in range(30))
        assert "2 done, 0 already there, 0 skipped, 30 failed" in err
    assert transform("src", "--check", "--prefix", "a")[0] == 0
    assert sorted(path for path in Path().rglob("*") if "__pycache__" not in path.parts) == before
    assert tree(Path("dst")) == {"a": b"object a"}


def test_without_a_destination_the_usage_is_shown() -> None:
    code, _, err = transform("src")
    assert (code, err.splitlines()[-1]) == (2, "Error: Missing argument 'DST'; only --check needs none.")


def test_a_debugger_has_the_terminal_and_one_object_at_a_time() -> None:
    code = """
        from instore import ETLServer

        class Upper(ETLServer):
            concurrency = 8

            def transform(self, data, path, etl_args):
                size = len(data)
                if b"look" in data:
                    breakpoint()
                return data.upper()
    """
    Path("upper.py").write_text(textwrap.dedent(code))
    fill(Path("src"), ["a", "look1", "look2", "z"])
    command = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "dst", "--debug"]
    said = "p size, path\ndata = b'mine'\nc\np 'the second', path\nc\n"
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.index("(12, 'src/look1')"), done.stdout.index("('the second', 'src/look2')")
    assert first < second
    assert tree(Path("dst")) == {**shouted(["a", "look2", "z"]), "look1": b"MINE"}
    assert os.listdir("tmp") == []
    left = subprocess.run([*command, "--overwrite"], input="q\n", capture_output=True, text=True, check=False)
    assert left.returncode == 1
    assert "failed look1: the transform of 'src/look1' failed: BdbQuit" in left.stderr
    assert left.stdout.count("(Pdb)") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--debug", "--timeout", "5s"), "--debug gives a debugger all the time it takes"),
        pytest.param(("--watch", "--check"), "--watch makes results", marks=pytest.mark.whole),
        pytest.param(("--watch", "--prefix=x", "src/a"), "--watch is for a folder as SRC", marks=pytest.mark.whole),
        pytest.param(("--check", "--dry-run"), "--dry-run transforms nothing", marks=pytest.mark.whole),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: tuple[str, ...], sentence: str) -> None:
    fill(Path("src"), ["a"])
    code, _, err = transform("src", "dst", *options)
    assert code == 2
    assert err.startswith(f"instore: {sentence}")


@pytest.mark.whole
def test_a_class_that_has_changed_is_said_first_and_its_results_are_made_again_on_demand() -> None:
    fill(Path("src"), ["a", "b"])
    assert transform("src", "dst")[0] == 0
    saved = Path("upper.py").stat()
    Path("upper.py").write_text(Path("upper.py").read_text().replace("data.upper()", "data.title()"))
    os.utime("upper.py", ns=(saved.st_atime_ns, saved.st_mtime_ns))  # by which Python takes what it compiled for it
    _, out, _ = transform("src", "dst", "--dry-run", "--update")
    assert out.startswith("to do: a -> a (made by another class, or by another version of it)\n")
    code, _, err = transform("src", "dst")
    assert code == 0
    assert err.startswith("2 results in DST were made by another class, or by another version of it; they stay as they")
    assert tree(Path("dst")) == shouted(["a", "b"])
    code, _, err = transform("src", "dst", "--update", "--preserve")
    assert code == 0
    assert "2 done, 0 already there" in err
    assert tree(Path("dst")) == {"a": b"Object A", "b": b"Object B"}
    assert Path("src/a").stat().st_mtime_ns == Path("dst/a").stat().st_mtime_ns


@pytest.mark.parametrize("option", ["--workers=2", "--dry-run"])
@pytest.mark.parametrize("name", ["none.py", pytest.param("upper.py:None", marks=pytest.mark.whole)])
def test_a_transform_that_is_not_there_is_said_also_where_nothing_is_left_to_do(name: str, option: str) -> None:
    fill(Path("src"), ["a"])
    fill(Path("dst"), ["a"])
    command = [sys.executable, "-m", "instore", "transform", name, "src", "dst", option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("instore: ")
    assert name.partition(":")[0] in done.stderr.splitlines()[-1]


@pytest.mark.whole
def test_a_watched_folder_is_done_again_whenever_it_changes() -> None:
    fill(Path("src"), ["a", "bad"])
    process = start("src", "dst", "--watch", "--workers", "1")
    try:
        wait_for(lambda: tree(Path("dst")) == shouted(["a"]))
        fill(Path("src"), ["new/b"])
        wait_for(lambda: tree(Path("dst")) == shouted(["a", "new/b"]))
        Path("src/a").write_text("changed")
        wait_for(lambda: tree(Path("dst")).get("a") == b"CHANGED")
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
    assert code == 130
    assert err.count("failed bad: ") >= 3
    assert "watching src; Ctrl-C ends it\n" in err
    assert "Traceback" not in err


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_a_second_signal_ends_the_command_at_once() -> None:
    fill(Path("src"), [f"x{number:03}" for number in range(400)])
    with half_way("src", "dst", "--args", "slowly", "--workers", "1") as process:
        process.send_signal(signal.SIGSTOP)  # so that both are there when it goes on
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        code, _, _ = finish(process)
    assert code in (-signal.SIGINT, -signal.SIGTERM, 130, 143)
    assert transform("src", "dst")[0] == 0
    assert len(tree(Path("dst"))) == 400


def test_standard_input_and_files_of_the_web_are_objects(tmp_path: Path) -> None:
    fill(Path("src"), ["s-0.txt", "s-2.txt", "d/x"])
    with web_server(tmp_path / "src") as web:
        assert transform(web.endpoint, "dst")[0] == 0
        assert tree(Path("dst")) == shouted(["s-0.txt", "s-2.txt", "d/x"])
        code, _, err = transform(web.endpoint, "dst2", "--template", "s-{0..2}.txt", "--continue-on-error")
    assert code == 1
    assert "s-1.txt: there is no such object in SRC" in err
    assert tree(Path("dst2")) == shouted(["s-0.txt", "s-2.txt"])
    with Path("src/d/x").open() as file:
        process = start("-", "dst3", "--name", "d/in", stdin=file)
        code, _, err = finish(process)
    assert code == 0, err
    assert tree(Path("dst3")) == {"d/in": b"OBJECT D/X"}


@pytest.mark.whole
def test_several_folders_go_into_one() -> None:
    fill(Path("src"), ["one/a", "two/a", "three"])
    code, _, err = transform("src/one", "src/two", "src/three", "dst", "--report", "report.json")
    assert code == 0, err
    assert tree(Path("dst")) == {"one/a": b"OBJECT ONE/A", "two/a": b"OBJECT TWO/A", "three": b"OBJECT THREE"}
