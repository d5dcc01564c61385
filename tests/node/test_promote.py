"""Files of the node's machine become objects, and only those of the one folder that its operator has named."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from aistore import Client
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError

from tests.support.node import RunningNode, running_node


@dataclass
class Place:
    """A node, the folder whose files its clients may name, and a file beside that."""

    node: RunningNode
    folder: Path
    outside: Path

    def ask(self, **value: object) -> requests.Response:
        message = {"action": "promote", "name": value.get("src", ""), "value": value}
        return requests.post(f"{self.node.endpoint}/v1/objects/fresh", json=message)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    top = Path(tmp_path_factory.mktemp("promote"))
    folder = top / "open"
    folder.mkdir()
    (top / "open-too").mkdir()
    outside = top / "open-too" / "secret"
    outside.write_text("secret")
    with running_node(top, 2, options=["--promote", str(folder)]) as node:
        yield Place(node, folder, outside)


@pytest.fixture
def client(place: Place) -> Client:
    return place.node.client()


@pytest.fixture
def bucket(client: Client) -> Iterator[Bucket]:
    bucket = client.bucket("fresh").create()
    yield bucket
    bucket.delete()


@pytest.fixture
def files(place: Place, tmp_path: Path) -> Path:
    folder = place.folder / tmp_path.name
    (folder / "inner").mkdir(parents=True)
    (folder / "top").write_text("top")
    (folder / "inner" / "deep").write_text("deep")
    return folder


def content(bucket: Bucket) -> dict[str, str]:
    return {
        entry.name: bucket.object(entry.name).get_reader().read_all().decode() for entry in bucket.list_all_objects()
    }


def test_a_file_gets_the_name_that_is_asked_for_or_its_own(bucket: Bucket, files: Path) -> None:
    for name in ("named", "folder/"):
        assert bucket.object(name).promote(str(files / "top")) == ""
    assert content(bucket) == {"named": "top", "folder/top": "top"}
    assert bucket.object("named").props.checksum_value
    assert (files / "top").read_text() == "top"


def test_a_folder_is_promoted_and_objects_are_replaced_only_if_that_is_asked_for(bucket: Bucket, files: Path) -> None:
    bucket.object("p/").promote(str(files))
    assert content(bucket) == {"p/top": "top"}
    (files / "top").write_text("newer")
    bucket.object("p/").promote(f"{files}/", recursive=True)
    assert content(bucket) == {"p/top": "top", "p/inner/deep": "deep"}
    bucket.object("p/").promote(str(files), recursive=True, overwrite_dest=True, delete_source=True)
    assert content(bucket) == {"p/top": "newer", "p/inner/deep": "deep"}
    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_many_files_are_a_job_that_tells_of_those_that_can_not_be(
    client: Client, bucket: Bucket, place: Place, files: Path
) -> None:
    for number in range(40):
        (files / f"{number:02}").write_text(str(number))
    (files / "link").symlink_to(place.outside)
    os.mkfifo(files / "pipe")
    job = client.job(bucket.object("m/").promote(str(files)))
    assert not job.wait(timeout=60, verbose=False).success
    assert not job.status().aborted
    assert "'link' is a symbolic link (and 1 more error)" in job.status().err
    assert job.get_details().list_snapshots()[0].kind == "promote"
    assert sum(snapshot.stats.objects for snapshot in job.get_details().list_snapshots()) == 41
    assert content(bucket) == {"m/top": "top", **{f"m/{number:02}": str(number) for number in range(40)}}


def test_nothing_but_files_in_the_folder_is_read(bucket: Bucket, place: Place, files: Path) -> None:
    (files / "link").symlink_to(place.outside)
    (files / "linked").symlink_to(place.outside.parent)
    os.mkfifo(files / "pipe")
    (files / "empty").mkdir()
    refused = {
        str(place.outside): (403, f"must be in {place.folder}"),
        "/etc/hostname": (403, "must be in"),
        f"{place.folder}/../open-too/secret": (400, "no empty parts, '.' and '..'"),
        f"{files}//top": (400, "no empty parts"),
        "top": (400, "not absolute"),
        "": (400, "not absolute"),
        f"{files}/top\0": (400, "not absolute"),
        f"{files}/link": (403, "is a symbolic link"),
        f"{files}/linked/secret": (403, "is a symbolic link"),
        f"{files}/linked": (403, "is a symbolic link"),
        f"{files}/pipe": (403, "neither a file nor a folder"),
        f"{files}/none": (404, "not there"),
        f"{files}/top/none": (404, "not there"),
        f"{files}/empty": (400, "there are no files"),
        f"{files}/{'x' * 300}": (403, "File name too long"),
    }
    for path, (status, sentence) in refused.items():
        answer = place.ask(src=path)
        assert (answer.status_code, sentence in answer.json()["message"]) == (status, True), answer.text
    assert content(bucket) == {}
    assert place.outside.read_text() == "secret"


def test_what_can_not_be_understood_is_refused(bucket: Bucket, place: Place, files: Path) -> None:
    for more, sentence in (
        ({"recursive": True}, "unknown field recursive"),
        ({"obj": 7}, "name one path"),
        ({"obj": "a//"}, "a part between slashes is empty"),
        ({"tid": "t9"}, "no target 't9'"),
    ):
        answer = place.ask(src=f"{files}/top", **more)
        assert (answer.status_code, sentence in answer.json()["message"]) == (400, True), answer.text
    assert content(bucket) == {}


def test_a_bucket_that_is_not_there_is_said_to_be_missing(client: Client, files: Path) -> None:
    with pytest.raises(AISError, match="does not exist"):
        client.bucket("missing").object("o").promote(str(files / "top"))


@pytest.mark.parametrize("name", ["data", "data/inside", ".", "none"])
def test_a_node_does_not_start_with_a_folder_that_can_not_be_open(tmp_path: Path, name: str) -> None:
    (tmp_path / "data" / "inside").mkdir(parents=True)
    command = [sys.executable, "-m", "instore", "node", "--dir", "data", "--port", "0", "--promote", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    assert "--promote" in done.stderr
