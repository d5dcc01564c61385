"""`instore transform` from and to the buckets of a real node, through the official client."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from aistore import Client

from tests.support.environments import OWN, need
from tests.support.node import RunningNode, running_node, wait_until
from tests.target.support import fill, tree

TRANSFORM = """
    import os
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
"""
NAMES = ["a.txt", "d/b c%41#?.txt", "d/é日.txt", "d/empty", "z"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AIS_TARGET_URL", "AIS_ENDPOINT", "AIS_AUTHN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("src").mkdir()


@pytest.fixture(params=[1, 3], ids=["1-target", "3-targets"])
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNode]:
    with running_node(tmp_path, request.param) as running:
        monkeypatch.setenv("AIS_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def one_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNode]:
    with running_node(tmp_path) as running:
        monkeypatch.setenv("AIS_ENDPOINT", running.endpoint)
        yield running


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


def test_every_combination_of_folders_and_buckets_gives_the_same_bytes(node: RunningNode) -> None:
    client = node.client()
    put(client, "in", originals(NAMES))
    assert transform("ais://in", "dst")[0] == 0
    assert tree(Path("dst")) == shouted(NAMES)
    assert transform("ais://in", "ais://out")[0] == 0
    assert content(client, "out") == shouted(NAMES)
    for name, data in originals(NAMES).items():
        Path("src", name).parent.mkdir(exist_ok=True)
        Path("src", name).write_bytes(data)
    code, _, err = transform("src", "ais://up")
    assert code == 0, err
    assert content(client, "up") == shouted(NAMES)
    assert not os.listdir("tmp")


def test_what_is_there_is_skipped_unless_it_is_to_be_done_again(one_node: RunningNode) -> None:
    client = one_node.client()
    put(client, "in", originals(["a", "b"]))
    put(client, "out", {"a": b"old"})
    code, out, err = transform("ais://in", "ais://out", "--dry-run")
    assert (code, out.splitlines()[:2]) == (0, ["already there: a -> a", "to do: b -> b"]), err
    assert transform("ais://in", "ais://out")[0] == 0
    assert content(client, "out") == {"a": b"old", "b": b"OBJECT B"}
    assert transform("ais://in", "ais://out", "--overwrite")[0] == 0
    assert content(client, "out") == shouted(["a", "b"])


def test_a_dry_run_makes_no_bucket(one_node: RunningNode) -> None:
    put(one_node.client(), "in", originals(["a"]))
    assert transform("ais://in", "ais://out", "--dry-run")[0] == 0
    assert [bucket.name for bucket in one_node.client().cluster().list_buckets()] == ["in"]


def test_prefixes_select_and_rename_as_the_options_do(one_node: RunningNode) -> None:
    client = one_node.client()
    put(client, "in", originals(["train/a.jpg", "train/b.txt", "train/c/d.jpg", "test/a.jpg"]))
    code, _, err = transform("ais://in/train/", "ais://out/new-", "--prepend", "x-", "--ext", "jpg:png")
    assert code == 0, err
    names = {"train/a.jpg": "train/a.png", "train/b.txt": "train/b.txt", "train/c/d.jpg": "train/c/d.png"}
    assert content(client, "out") == {
        "new-x-" + new: data for old, data in shouted(list(names)).items() for new in [names[old]]
    }
    assert transform("ais://in/train/", "dst", "--prefix", "c")[0] == 0
    assert tree(Path("dst")) == shouted(["train/c/d.jpg"])


def test_two_objects_that_would_become_one_are_refused(one_node: RunningNode) -> None:
    put(one_node.client(), "in", originals(["a.jpg", "a.png"]))
    code, _, err = transform("ais://in", "ais://out", "--ext", "jpg:png")
    assert code == 2
    assert "would both become a.png" in one_line(err)


def test_results_may_not_become_objects_of_the_same_job(one_node: RunningNode) -> None:
    client = one_node.client()
    put(client, "in", originals(["train/a"]))
    for source, destination in [("ais://in", "ais://in/new/"), ("ais://in/train/", "ais://in")]:
        code, _, err = transform(source, destination)
        assert code == 2
        assert "name another bucket" in one_line(err)
    assert transform("ais://in/train/", "ais://in/new/")[0] == 0
    assert content(client, "in") == {**originals(["train/a"]), "new/train/a": b"OBJECT TRAIN/A"}


def test_an_object_that_fails_is_reported_and_has_no_result(one_node: RunningNode) -> None:
    client = one_node.client()
    put(client, "in", originals(["a", "bad", "c"]))
    code, _, err = transform("ais://in", "ais://out", "--continue-on-error", "--report", "report.json")
    assert code == 1
    assert "failed bad: " in err
    assert content(client, "out") == shouted(["a", "c"])
    report = json.loads(Path("report.json").read_text())
    assert {line["name"]: line["outcome"] for line in report["objects"]} == {"a": "done", "bad": "failed", "c": "done"}
    assert report["summary"]["failed"] == 1


def test_a_file_whose_name_no_object_can_have_is_reported(one_node: RunningNode) -> None:
    fill(Path("src"), ["a", "bytes-\udcff"])
    code, _, err = transform("src", "ais://out", "--continue-on-error")
    assert code == 1
    assert "it is not UTF-8" in err
    assert content(one_node.client(), "out") == shouted(["a"])


def test_a_large_object_passes_in_bounded_memory(one_node: RunningNode) -> None:
    size = 192 << 20
    with Path("src/large").open("wb") as file:
        for _ in range(size >> 20):
            file.write(b"abcdefgh" * (1 << 17))
    client = one_node.client()
    client.bucket("in").create().object("large").get_writer().put_file("src/large")
    process = start("ais://in", "ais://out", target="upper.py:Stream")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert usage.ru_maxrss << 10 < size - (32 << 20), usage.ru_maxrss  # the interpreter and its libraries included
    raw = client.bucket("out").object("large").get_reader().raw()
    came = 0
    while piece := raw.read(1 << 20):
        assert piece == b"ABCDEFGH" * (len(piece) // 8)
        came += len(piece)
    assert came == size
    assert not os.listdir("tmp")


def test_a_node_that_dies_half_way_is_told_truthfully(one_node: RunningNode) -> None:
    names = [f"x{number:04}" for number in range(400)]
    for name in names:
        Path("src", name).write_bytes(f"object {name}".encode())
    process = start("src", "ais://out", "--report", "report.json", "--continue-on-error")
    folder = one_node.folder
    wait_until(lambda: any(True for path in folder.rglob("x*") if path.is_file()))
    one_node.kill()
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    report = json.loads(Path("report.json").read_text())
    done = {line["name"] for line in report["objects"] if line["outcome"] == "done"}
    failed = {line["name"]: line["error"] for line in report["objects"] if line["outcome"] == "failed"}
    assert done
    assert failed
    assert done | set(failed) == set(names)
    assert all("could not be stored" in error for error in failed.values())
    kept = {path.name: path.read_bytes() for path in folder.rglob("x*") if path.is_file()}
    assert all(kept[name] == f"OBJECT {name.upper()}".encode() for name in done)


def test_a_node_that_dies_while_it_is_read_leaves_whole_results_only(one_node: RunningNode) -> None:
    names = [f"x{number:04}" for number in range(400)]
    put(one_node.client(), "in", originals(names))
    process = start("ais://in", "dst", "--report", "report.json", "--continue-on-error")
    wait_until(lambda: any(Path("dst").glob("x*")))
    one_node.kill()
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    report = json.loads(Path("report.json").read_text())
    done = [line["name"] for line in report["objects"] if line["outcome"] == "done"]
    failed = [line for line in report["objects"] if line["outcome"] == "failed"]
    assert len(done) + len(failed) == len(names)
    assert all("ais://in/x" in line["error"] for line in failed)
    assert failed
    assert tree(Path("dst")) == shouted(done)


def test_a_store_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("AIS_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        for source, destination in [("ais://in", "dst"), ("src", "ais://out")]:
            code, out, err = transform(source, destination)
            assert (code, out) == (2, "")
            assert "can't be reached" in one_line(err)
    monkeypatch.delenv("AIS_ENDPOINT")
    code, _, err = transform("ais://in", "dst")
    assert code == 2
    assert "set AIS_ENDPOINT" in one_line(err)


def test_a_source_bucket_that_is_not_there_is_one_line(one_node: RunningNode) -> None:
    code, _, err = transform("ais://in", "dst")
    assert code == 2
    assert "there is no bucket ais://in" in one_line(err)
    assert not Path("dst").exists()


@pytest.mark.parametrize("url", ["ais://", "ais://@#space/in", "ais:///in"])
def test_a_malformed_url_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = transform(url, "dst")
    assert code == 2
    assert "is no bucket's URL" in one_line(err)


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


def test_without_the_client_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    need(OWN)
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    process = start("ais://in", "dst", python=OWN.python)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "pip install 'instore[ais]'" in one_line(err)
