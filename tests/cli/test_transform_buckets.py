"""`instore transform` from and to the buckets of a real node, through the official client.

Tests share a node for each number of targets, and have buckets of their own in it; what ends a node has its own.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aistore import Client
from aistore.sdk.errors import ErrBckNotFound

from instore.offline.engine import MOST_AWAY
from tests.offline.support import fill, tree
from tests.support.environments import OWN, need
from tests.support.node import TARGETS, RunningNode, running_node, wait_until
from tests.support.strange_store import StrangeStore, strange_store

TRANSFORM = """
    import os, time
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if os.path.basename(path).startswith("bad"):
                raise ValueError(f"{os.path.basename(path)} is bad")
            return data.upper()

    class Stream(ETLServer):
        def transform_stream(self, reader, path, etl_args):
            while piece := reader.read(1 << 20):
                yield piece.upper()

    class Gated(Upper):
        # From x0100 on it waits for the file that the arguments name.
        def transform(self, data, path, etl_args):
            while os.path.basename(path) >= "x0100" and not os.path.exists(etl_args):
                time.sleep(0.01)
            return super().transform(data, path, etl_args)
"""
MANY = [f"x{number:04}" for number in range(200)]
NAMES = ["a.txt", "d/b c%41#?.txt", "d/é日.txt", "d/empty", "z"]

_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AIS_TARGET_URL", "AIS_ENDPOINT", "AIS_AUTHN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("src").mkdir()


@pytest.fixture(scope="module", params=TARGETS)
def _any_node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(tmp_path_factory.mktemp("node"), request.param) as running:
        yield running


@pytest.fixture(scope="module")
def _one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
def node(_any_node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> RunningNode:
    monkeypatch.setenv("AIS_ENDPOINT", _any_node.endpoint)
    return _any_node


@pytest.fixture
def client(_one_node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a node with one target."""
    monkeypatch.setenv("AIS_ENDPOINT", _one_node.endpoint)
    return _one_node.client()


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNode]:
    """A node with one target that a test may end."""
    with running_node(tmp_path) as running:
        monkeypatch.setenv("AIS_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrangeStore]:
    with strange_store() as running:
        monkeypatch.setenv("AIS_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def inbox() -> str:
    """The name of a bucket that is not there."""
    return f"in-{next(_NUMBERS)}"


@pytest.fixture
def outbox() -> str:
    """The name of another."""
    return f"out-{next(_NUMBERS)}"


def start(
    *arguments: str, target: str = "upper.py:Upper", python: Path | str = sys.executable
) -> "subprocess.Popen[str]":
    command = [str(python), "-m", "instore", "transform", target, *arguments, "--workers", "1"]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def transform(*arguments: str, target: str = "upper.py:Upper") -> tuple[int, str, str]:
    process = start(*arguments, target=target)
    out, err = process.communicate()
    return process.returncode, out, err


def put(client: Client, bucket: str, objects: dict[str, bytes]) -> None:
    made = client.bucket(bucket).create(exist_ok=True)
    for name, data in objects.items():
        made.object(name).get_writer().put_content(data)


def content(client: Client, bucket: str) -> dict[str, bytes]:
    there = client.bucket(bucket)
    return {entry.name: there.object(entry.name).get_reader().read_all() for entry in there.list_all_objects()}


def originals(names: list[str]) -> dict[str, bytes]:
    return {name: b"" if name.endswith("empty") else f"object {name}".encode() for name in names}


def shouted(names: list[str]) -> dict[str, bytes]:
    return {name: data.upper() for name, data in originals(names).items()}


def one_line(err: str) -> str:
    assert err.count("\n") == 1, err
    assert err.startswith("instore: ")
    return err


def test_every_combination_of_folders_and_buckets_gives_the_same_bytes(
    node: RunningNode, inbox: str, outbox: str
) -> None:
    client = node.client()
    put(client, inbox, originals(NAMES))
    assert transform(f"ais://{inbox}", "dst")[0] == 0
    assert tree(Path("dst")) == shouted(NAMES)
    assert transform(f"ais://{inbox}", f"ais://{outbox}")[0] == 0
    assert content(client, outbox) == shouted(NAMES)
    for name, data in originals(NAMES).items():
        Path("src", name).parent.mkdir(exist_ok=True)
        Path("src", name).write_bytes(data)
    code, _, err = transform("src", f"ais://{outbox}-2")
    assert code == 0, err
    assert content(client, f"{outbox}-2") == shouted(NAMES)
    assert not os.listdir("tmp")


@pytest.mark.whole
def test_what_is_there_is_skipped_unless_it_is_to_be_done_again(client: Client, inbox: str, outbox: str) -> None:
    put(client, inbox, originals(["a", "b"]))
    put(client, outbox, {"a": b"old"})
    code, out, err = transform(f"ais://{inbox}", f"ais://{outbox}", "--dry-run")
    assert (code, out.splitlines()[:2]) == (0, ["already there: a -> a", "to do: b -> b"]), err
    assert transform(f"ais://{inbox}", f"ais://{outbox}")[0] == 0
    assert content(client, outbox) == {"a": b"old", "b": b"OBJECT B"}
    assert transform(f"ais://{inbox}", f"ais://{outbox}", "--overwrite")[0] == 0
    assert content(client, outbox) == shouted(["a", "b"])


def test_a_dry_run_makes_no_bucket(client: Client, inbox: str, outbox: str) -> None:
    put(client, inbox, originals(["a"]))
    assert transform(f"ais://{inbox}", f"ais://{outbox}", "--dry-run")[0] == 0
    assert outbox not in [bucket.name for bucket in client.cluster().list_buckets()]


@pytest.mark.whole
def test_prefixes_select_and_rename_as_the_options_do(client: Client, inbox: str, outbox: str) -> None:
    put(client, inbox, originals(["train/a.jpg", "train/b.txt", "train/c/d.jpg", "test/a.jpg"]))
    code, _, err = transform(f"ais://{inbox}/train/", f"ais://{outbox}/new-", "--prepend", "x-", "--ext", "jpg:png")
    assert code == 0, err
    names = {"train/a.jpg": "train/a.png", "train/b.txt": "train/b.txt", "train/c/d.jpg": "train/c/d.png"}
    assert content(client, outbox) == {
        "new-x-" + new: data for old, data in shouted(list(names)).items() for new in [names[old]]
    }
    assert transform(f"ais://{inbox}/train/", "dst", "--prefix", "c")[0] == 0
    assert tree(Path("dst")) == shouted(["train/c/d.jpg"])


def test_two_objects_that_would_become_one_are_refused(client: Client, inbox: str, outbox: str) -> None:
    put(client, inbox, originals(["a.jpg", "a.png"]))
    code, _, err = transform(f"ais://{inbox}", f"ais://{outbox}", "--ext", "jpg:png")
    assert code == 2
    assert "would both become a.png" in one_line(err)


@pytest.mark.whole
def test_results_may_not_become_objects_of_the_same_job(client: Client, inbox: str) -> None:
    put(client, inbox, originals(["train/a"]))
    for source, destination in [(f"ais://{inbox}", f"ais://{inbox}/new/"), (f"ais://{inbox}/train/", f"ais://{inbox}")]:
        code, _, err = transform(source, destination)
        assert code == 2
        assert "name another bucket" in one_line(err)
    assert transform(f"ais://{inbox}/train/", f"ais://{inbox}/new/")[0] == 0
    assert content(client, inbox) == {**originals(["train/a"]), "new/train/a": b"OBJECT TRAIN/A"}


def test_an_object_that_fails_is_reported_and_has_no_result(client: Client, inbox: str, outbox: str) -> None:
    put(client, inbox, originals(["a", "bad", "c"]))
    code, _, err = transform(f"ais://{inbox}", f"ais://{outbox}", "--continue-on-error", "--report", "report.json")
    assert code == 1
    assert "failed bad: " in err
    assert content(client, outbox) == shouted(["a", "c"])
    report = json.loads(Path("report.json").read_text())
    assert {line["name"]: line["outcome"] for line in report["objects"]} == {"a": "done", "bad": "failed", "c": "done"}
    assert report["summary"]["failed"] == 1


def test_a_file_whose_name_no_object_can_have_is_reported(client: Client, outbox: str) -> None:
    fill(Path("src"), ["a", "bytes-\udcff"])
    code, _, err = transform("src", f"ais://{outbox}", "--continue-on-error")
    assert code == 1
    assert "it is not UTF-8" in err
    assert content(client, outbox) == shouted(["a"])


@pytest.mark.whole
def test_a_large_object_passes_in_bounded_memory(client: Client, inbox: str, outbox: str) -> None:
    size = 192 << 20
    with Path("src/large").open("wb") as file:
        for _ in range(size >> 20):
            file.write(b"abcdefgh" * (1 << 17))
    client.bucket(inbox).create().object("large").get_writer().put_file("src/large")
    process = start(f"ais://{inbox}", f"ais://{outbox}", target="upper.py:Stream")
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.01)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert 0 < peak < size - (32 << 20), peak  # the interpreter and its libraries included
    raw = client.bucket(outbox).object("large").get_reader().raw()
    came = 0
    while piece := raw.read(1 << 20):
        assert piece == b"ABCDEFGH" * (len(piece) // 8)
        came += len(piece)
    assert came == size
    assert not os.listdir("tmp")


def memory_of(pid: int) -> int:
    """Bytes that a process has had in memory at most; 0 when it has ended. (What it was forked from doesn't count.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].partition("kB")[0] or 0) << 10


def kept_by(node: RunningNode) -> dict[str, bytes]:
    """The results of `MANY` that a node has in `out`, dead or alive."""
    return {path.name: path.read_bytes() for path in node.folder.rglob("@ais/out/**/x*") if path.is_file()}


def verdicts(report: str = "report.json") -> dict[str, str]:
    return {line["name"]: line["outcome"] for line in json.loads(Path(report).read_text())["objects"]}


def ended_early(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What became of the objects that a job whose store was away has gone through."""
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert "Traceback" not in err
    ends = [line for line in err.splitlines() if line.startswith("instore: ")]
    assert len(ends) == 1, err
    assert ends[0].startswith(f"instore: {MOST_AWAY} objects in a row failed because of the store")
    assert ends[0].endswith("the same command goes on from here")
    assert json.loads(Path("report.json").read_text())["summary"]["ended"] in ends[0]
    found = verdicts()
    failed = [name for name, status in found.items() if status == "failed"]
    assert MOST_AWAY <= len(failed) < 3 * MOST_AWAY  # those that failed at once with the last of them, too
    return found


@pytest.mark.whole
def test_a_store_that_dies_while_it_is_written_ends_the_job_and_a_second_one_does_the_rest(
    mortal: RunningNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in originals(MANY).items():
        Path("src", name).write_bytes(data)
    command = ("src", "ais://out", "--continue-on-error", "--args", "gate", "--report", "report.json")
    process = start(*command, target="upper.py:Gated")
    wait_until(lambda: len(kept_by(mortal)) >= 50)
    mortal.kill()
    Path("gate").touch()
    found = ended_early(process)
    kept = kept_by(mortal)
    done = {name for name, status in found.items() if status == "done"}
    assert done
    assert done <= set(kept)
    with running_node(tmp_path) as again:
        monkeypatch.setenv("AIS_ENDPOINT", again.endpoint)
        code, _, err = transform(*command, target="upper.py:Gated")
        assert code == 0, err
        assert {name for name, status in verdicts().items() if status == "already there"} == set(kept)
        assert set(verdicts()) == set(MANY)
        assert kept_by(again) == shouted(MANY)


@pytest.mark.whole
def test_a_store_that_dies_while_it_is_read_ends_the_job_with_whole_results_only(mortal: RunningNode) -> None:
    put(mortal.client(), "in", originals(MANY))
    process = start(
        "ais://in", "dst", "--continue-on-error", "--args", "gate", "--report", "report.json", target="upper.py:Gated"
    )
    wait_until(lambda: any(Path("dst").glob("x*")))
    mortal.kill()
    Path("gate").touch()
    found = ended_early(process)
    done = [name for name, status in found.items() if status == "done"]
    assert done
    assert tree(Path("dst")) == shouted(done)


@pytest.mark.whole
def test_a_store_that_only_refuses_ends_the_job(strange: StrangeStore) -> None:
    strange.objects = originals(MANY)
    strange.refusal = 500
    process = start("ais://in", "dst", "--continue-on-error", "--report", "report.json")
    assert set(ended_early(process).values()) == {"failed"}
    assert len(strange.gets) < 3 * MOST_AWAY
    assert tree(Path("dst")) == {}


def test_what_is_no_store_is_one_line(strange: StrangeStore) -> None:
    strange.is_web_site = True
    code, _, err = transform("ais://in", "dst", "--dry-run")
    assert code == 1
    assert f"{strange.endpoint} (AIS_ENDPOINT) gave an answer that no store gives" in one_line(err)


@pytest.mark.whole
def test_objects_that_are_missing_one_by_one_do_not_end_the_job(strange: StrangeStore) -> None:
    strange.objects = originals(MANY[: 3 * MOST_AWAY])
    strange.refusal = 404
    code, _, err = transform("ais://in", "dst", "--continue-on-error", "--report", "report.json")
    assert code == 1
    assert f"{3 * MOST_AWAY} failed" in err.splitlines()[-1]


def test_names_that_make_no_path_fail_alone(strange: StrangeStore) -> None:
    long = "n" * 300
    bad = ["../up", "/abs", "d//e", "d/../../up", long, ".instore-partial/x", "a\0b"]
    strange.objects = dict.fromkeys([*bad, "ok", "d/new\nline"], b"data")
    code, _, err = transform("ais://in", "deep/dst", "--continue-on-error", "--report", "report.json")
    assert code == 1, err
    assert verdicts() == {name: "failed" if name in bad else "done" for name in strange.objects}
    assert tree(Path("deep")) == {"dst/ok": b"DATA", "dst/d/new\nline": b"DATA"}
    errors = {line["name"]: line["error"] for line in json.loads(Path("report.json").read_text())["objects"]}
    assert all(f"{name!r} can't be an object's name" in errors[name] for name in bad[:4])


def test_an_object_in_the_place_of_a_folder_fails_alone(strange: StrangeStore) -> None:
    strange.objects = dict.fromkeys(["a", "a/b", "c"], b"data")
    code, _, err = transform("ais://in", "dst", "--continue-on-error", "--report", "report.json")
    assert code == 1, err
    assert sorted(verdicts().values()) == ["done", "done", "failed"]
    assert len(tree(Path("dst"))) == 2


def test_a_result_that_something_else_than_the_store_took_is_not_done(strange: StrangeStore) -> None:
    fill(Path("src"), ["a"])
    code, _, err = transform("src", "ais://in")
    assert code == 1
    assert "failed a: ais://in/a could not be stored: " in err
    assert "answered 200 to a GET, not to a PUT of 8 bytes; set AIS_ENDPOINT to the store itself" in err


@pytest.mark.whole
def test_an_interrupted_command_counts_what_it_has_stored(client: Client, outbox: str) -> None:
    command = ("src", f"ais://{outbox}", "--args", "gate", "--report", "report.json")
    process = start_gated(client, outbox, command)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert set(verdicts()) == stored(client, outbox)
    Path("gate").touch()
    assert transform(*command, target="upper.py:Gated")[0] == 0
    assert content(client, outbox) == shouted(MANY)


def start_gated(client: Client, outbox: str, command: Sequence[str]) -> "subprocess.Popen[str]":
    """A command that waits at the gate, with many objects in `src`, some of which it has stored."""
    for name, data in originals(MANY).items():
        Path("src", name).write_bytes(data)
    process = start(*command, target="upper.py:Gated")
    wait_until(lambda: len(stored(client, outbox)) >= 50)
    return process


def stored(client: Client, bucket: str) -> set[str]:
    try:
        return {entry.name for entry in client.bucket(bucket).list_all_objects()}
    except ErrBckNotFound:  # the command has not made it yet
        return set()


@pytest.mark.whole
def test_after_a_killed_command_a_second_one_does_the_rest(client: Client, outbox: str) -> None:
    command = ("src", f"ais://{outbox}", "--args", "gate", "--report", "report.json")
    process = start_gated(client, outbox, command)
    process.kill()
    process.communicate()  # until its workers have ended, too
    before = content(client, outbox)
    assert before == shouted(list(before))
    Path("gate").touch()
    code, _, err = transform(*command, target="upper.py:Gated")
    assert code == 0, err
    expected = {name: "already there" if name in before else "done" for name in MANY}
    assert verdicts() == expected
    assert content(client, outbox) == shouted(MANY)


@pytest.mark.whole
def test_two_commands_at_once_into_one_bucket_damage_nothing(client: Client, inbox: str, outbox: str) -> None:
    names = MANY[:150]
    put(client, inbox, originals(names))
    processes = [start(f"ais://{inbox}", f"ais://{outbox}", "--report", f"{number}.json") for number in range(2)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    each = [verdicts(f"{number}.json") for number in range(2)]
    assert all(set(found) == set(names) and set(found.values()) <= {"done", "already there"} for found in each)
    assert all("done" in (each[0][name], each[1][name]) for name in names)
    assert content(client, outbox) == shouted(names)


def test_a_store_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("AIS_ENDPOINT", f"http://me:secret@127.0.0.1:{free.getsockname()[1]}")
        for process in [start("ais://in", "dst"), start("src", "ais://out")]:
            out, err = process.communicate()
            assert (process.returncode, out) == (2, "")
            assert "can't be reached" in one_line(err)
            assert "secret" not in err


@pytest.mark.parametrize("endpoint", ["", "localhost:51080"])
def test_without_the_address_of_the_store_the_command_asks_for_it(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIS_ENDPOINT", endpoint)
    code, _, err = transform("ais://in", "dst")
    assert code == 2
    assert "set AIS_ENDPOINT" in one_line(err)
    assert endpoint in err


def test_a_source_bucket_that_is_not_there_is_one_line(client: Client, inbox: str) -> None:
    code, _, err = transform(f"ais://{inbox}", "dst")
    assert code == 2
    assert f"has no bucket ais://{inbox}; name one that is there" in one_line(err)
    assert not Path("dst").exists()


@pytest.mark.parametrize("url", ["hdfs://bucket", "AIS://bucket", "file:///etc"])
def test_another_url_is_no_folder(url: str) -> None:
    for source, destination in [(url, "dst"), ("src", url)]:
        code, _, err = transform(source, destination)
        assert code == 2
        assert f"{url} is neither a folder nor ais://BUCKET, s3://BUCKET" in one_line(err)
    assert sorted(os.listdir()) == ["src", "tmp", "upper.py"]


@pytest.mark.parametrize("url", ["ais://", "ais://@#space/in", "ais:///in"])
def test_a_malformed_url_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = transform(url, "dst")
    assert code == 2
    assert "is not a valid bucket URL" in one_line(err)


@pytest.mark.whole
def test_a_store_that_demands_a_token_gets_the_one_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_node(tmp_path, environment={"AIS_AUTHN_TOKEN": "secret"}) as node:
        monkeypatch.setenv("AIS_ENDPOINT", node.endpoint)
        put(node.client("secret"), "in", originals(["a"]))
        code, _, err = transform("ais://in", "dst")
        assert code == 2
        assert "AIS_AUTHN_TOKEN" in one_line(err)
        monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
        assert transform("ais://in", "dst")[0] == 0
    assert tree(Path("dst")) == shouted(["a"])


@pytest.mark.whole
def test_without_the_client_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    need(OWN)
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    process = start("ais://in", "dst", python=OWN.python)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "pip install 'instore[ais]'" in one_line(err)
