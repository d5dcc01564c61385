"""A node's own files, damaged: it says which, why and what to do, and keeps every object."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aistore.sdk.errors import AISError
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from tests.support.node import RunningNode, running_node

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut to half": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "rubbish": lambda _: b"\xff\x00\x93rubbish",
    "something else": lambda _: b'[1, {"a": null}]',
    "an empty object": lambda _: b"{}",
}


def twice() -> type:
    class Twice(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data + data

    return Twice


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a node has left: a bucket with an object and its copy, a finished job, an ETL."""
    place = tmp_path_factory.mktemp("whole")
    with running_node(place, 2) as node:
        client = node.client()
        bucket = client.bucket("b").create()
        bucket.object("o").get_writer().put_content(b"x")
        client.etl("twice-etl").init_class()(twice())
        client.job(bucket.copy(client.bucket("copy"))).wait(timeout=60, verbose=False)
        client.job(bucket.transform("twice-etl", client.bucket("xx"))).wait(timeout=60, verbose=False)
        assert node.stop() == 0
    return place


@pytest.fixture(name="place")
def _place(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder / "node", tmp_path / "node")  # attributes included
    return tmp_path


@pytest.fixture(
    name="damage",
    params=["cut to half", *(pytest.param(name, marks=pytest.mark.whole) for name in list(DAMAGES)[1:])],
)
def _damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(DAMAGES[request.param](path.read_bytes()))

    return damage


def refusal(place: Path) -> str:
    """The one line of a node that can't start."""
    command = [sys.executable, "-m", "instore", "node", "--dir", str(place / "node"), "--port", "0", "--targets", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


def check_objects(node: RunningNode) -> None:
    client = node.client()
    found = {name: client.bucket(name).object("o").get_reader().read_all() for name in ("b", "copy", "xx")}
    assert found == {"b": b"x", "copy": b"x", "xx": b"xx"}


def warning(node: RunningNode, path: Path) -> str:
    """The line of the log about a file."""
    lines = node.log.read_text().splitlines()
    assert [line for line in lines if "Traceback" in line] == []
    (found,) = [line for line in lines if f"{path} is damaged: " in line]
    return found


def test_the_nodes_file(place: Path, damage: Callable[[Path], None]) -> None:
    path = place / "node" / "node.json"
    whole = path.read_bytes()
    damage(path)
    damaged = path.read_bytes()
    sentence = refusal(place)
    assert f"{path} is damaged: " in sentence
    assert "put a copy of the file in its place or write it anew" in sentence
    assert path.read_bytes() == damaged
    path.write_bytes(whole)
    with running_node(place, 2) as node:
        check_objects(node)


def test_the_nodes_file_can_be_written_anew(place: Path) -> None:
    path = place / "node" / "node.json"
    buckets: list[dict[str, object]] = [
        {"name": name, "namespace": "", "created": 0, "renamed_from": {}} for name in ("b", "copy", "xx")
    ]
    path.write_text(json.dumps({"uuid": "anything", "created": 0, "targets": ["t1", "t2"], "buckets": buckets}))
    with running_node(place, 2) as node:
        check_objects(node)


def test_a_jobs_file(place: Path, damage: Callable[[Path], None]) -> None:
    first, second = sorted((place / "node" / "jobs").glob("*.json"))
    damage(first)
    with running_node(place, 2) as node:
        check_objects(node)
        assert "delete the file" in warning(node, first)
        client = node.client()
        with pytest.raises(AISError):
            client.job(first.stem).status()
        assert client.job(second.stem).status().end_time
        assert first.exists()


def test_a_jobs_counts(place: Path, damage: Callable[[Path], None]) -> None:
    for path in (place / "node" / "jobs").glob("*.counts"):
        damage(path)
    with running_node(place, 2) as node:
        check_objects(node)
        client = node.client()
        for path in (node.folder / "jobs").glob("*.json"):
            assert client.job(path.stem).status().end_time
            assert client.job(path.stem).get_details().list_snapshots()
        assert "Traceback" not in node.log.read_text()


def test_an_etls_record(place: Path, damage: Callable[[Path], None]) -> None:
    path = place / "node" / "etl" / "twice-etl.json"
    damage(path)
    damaged = path.read_bytes()
    with running_node(place, 2) as node:
        check_objects(node)
        assert "put a copy of the file in its place" in warning(node, path)
        client = node.client()
        assert client.cluster().list_etls(["Running", "Aborted", "Initializing"]) == []
        assert path.read_bytes() == damaged
        client.etl("twice-etl").init_class()(twice())
        assert client.bucket("b").object("o").get_reader(etl=ETLConfig("twice-etl")).read_all() == b"xx"
        assert node.stop() == 0
    with running_node(place, 2) as node:
        assert node.client().bucket("b").object("o").get_reader(etl=ETLConfig("twice-etl")).read_all() == b"xx"


def test_an_etls_errors(place: Path, damage: Callable[[Path], None]) -> None:
    errors = place / "node" / "etl" / "twice-etl.errors"
    errors.mkdir()
    (errors / "inline").write_text('{"obj_name": "ais://b/o", "msg": "why", "ecode": 500}\n')
    damage(errors / "inline")
    with (errors / "inline").open("a") as file:
        file.write('\n{"obj_name": "ais://b/o", "msg": "another", "ecode": 500}\n')
    with running_node(place, 2) as node:
        assert [error.msg for error in node.client().etl("twice-etl").view().obj_errors] == ["another"]


@pytest.mark.parametrize("name", ["etl", "jobs"])
def test_a_file_in_the_place_of_a_folder(place: Path, name: str) -> None:
    shutil.rmtree(place / "node" / name)
    (place / "node" / name).write_text("")
    assert f"can't use {place}/node/{name}: File exists" in refusal(place)


def test_a_hook_that_fails_is_one_line_and_a_code(place: Path) -> None:
    shutil.rmtree(place / "node" / "etl")
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "old-etl.json").write_text(
        json.dumps({"id": "etl-1", "message": MESSAGE, "stage": "Initializing"})
    )
    (place / "elsewhere" / "old-etl.x.log").mkdir()  # which can't be removed as a log is
    (place / "node" / "etl").symlink_to(place / "elsewhere")
    assert "the node can't start: [Errno 21] Is a directory" in refusal(place)


MESSAGE = {"name": "old-etl", "communication": "hpush://", "runtime": {"image": "aistorage/runtime_python:3.11"}}
