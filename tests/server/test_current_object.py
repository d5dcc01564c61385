"""`self.object`, whichever way an object comes and however many are under way; and readers that can go back."""

import errno
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from instore import ETLServer
from instore.errors import StorageFullError, UnfitClassError
from instore.protocol.headers import OBJECT_INFO
from instore.protocol.requests import object_target
from instore.server.current_object import ObjectInfo
from instore.server.entry import AccessLogEntry
from instore.server.readers import BytesReader, spooled
from instore.testing import Answer, Server
from instore.testing.answers import read_reply
from instore.testing.wire import Sent, ask

CODE = """
import asyncio, json, math, time
import instore

def told(one):
    return {
        "bucket": one.bucket, "name": one.name, "size": one.size, "content_type": one.content_type, "etag": one.etag,
        "metadata": dict(one.metadata), "time_left": None if math.isinf(one.time_left) else one.time_left,
    }

class Whole(instore.ETLServer):
    concurrency = 4
    def transform(self, data, path, etl_args):
        before = told(self.object)
        time.sleep(0.02)
        assert told(self.object) | {"time_left": 0} == before | {"time_left": 0}
        return json.dumps(before).encode()

class AsyncWhole(instore.ETLServer):
    concurrency = 4
    async def transform(self, data, path, etl_args):
        async def aside():
            await asyncio.sleep(0.02)
            return told(self.object)
        return json.dumps(await asyncio.create_task(aside())).encode()

class Stream(instore.ETLServer):
    concurrency = 4
    def transform_stream(self, reader, path, etl_args):
        reader.read()
        yield json.dumps(told(self.object)).encode()

class AsyncStream(instore.ETLServer):
    concurrency = 4
    async def transform_stream(self, reader, path, etl_args):
        await asyncio.sleep(0.02)
        await reader.read()
        yield json.dumps(told(self.object)).encode()

class Batch(instore.ETLServer):
    def transform_batch(self, objects, paths, etl_args):
        return [json.dumps(told(one)).encode() for one in self.objects]

class Astray(instore.ETLServer):
    def transform_batch(self, objects, paths, etl_args):
        return [self.object.name.encode() for _ in objects]

class Own(instore.ETLServer):
    object = "of my own"
    def __init__(self):
        self.objects = 3
    def transform(self, data, path, etl_args):
        return f"{self.object} {self.objects}".encode()

class Outside(instore.ETLServer):
    def __init__(self):
        assert self.objects == []
        try:
            self.object
        except LookupError as error:
            self.said = str(error)
    def transform(self, data, path, etl_args):
        return self.said.encode()

class Unzip(instore.ETLServer):
    seekable = True
    def transform_stream(self, reader, path, etl_args):
        with __import__("zipfile").ZipFile(reader) as archive:
            yield from map(archive.read, archive.namelist())

class AsyncBack(instore.ETLServer):
    seekable = True
    async def transform_stream(self, reader, path, etl_args):
        data = await reader.read()
        await reader.seek(0)
        assert await reader.read() == data
        await reader.seek(-3, 2)
        yield await reader.read()

class Forward(instore.ETLServer):
    def transform_stream(self, reader, path, etl_args):
        reader.seek(0)
        yield b""
"""
SHAPES = ["Whole", "AsyncWhole", "Stream", "AsyncStream", "Batch"]


@pytest.fixture(scope="module", name="file")
def _file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("etl") / "classes.py"
    path.write_text(CODE)
    return str(path)


@pytest.fixture(
    scope="module",
    params=[name if name == "AsyncStream" else pytest.param(name, marks=pytest.mark.whole) for name in SHAPES],
)
def server(request: pytest.FixtureRequest, file: str) -> Iterator[Server]:
    with Server(f"{file}:{request.param}", {"INSTORE_OBJECT_TIME": "1000"}) as server:
        yield server


def told(answer: Answer) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(answer.body)
    return result


WAYS: dict[str, Callable[[Server, str, bytes], Answer]] = {
    "put": lambda server, name, data: server.put(name, data),
    "chunked": lambda server, name, data: server.put(name, data, chunked=True),
    "pull": lambda server, name, data: server.pull(name, data),
    "websocket": lambda server, name, data: server.websocket(name, data),
    "direct put": lambda server, name, data: server.pipeline([], name, data),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_object_has_one_name_whichever_way_it_comes(server: Server, way: str) -> None:
    found = told(WAYS[way](server, "photos/d/a b#1.jpg", b"12345"))
    assert found["name"] == "d/a b#1.jpg"
    assert found["bucket"] == ("" if way == "websocket" else "photos")
    assert found["size"] == 5 or (way == "chunked" and found["size"] is None)
    assert 0 < found["time_left"] < 1000


def test_a_file_has_its_size(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"1234567")
    found = told(server.file(tmp_path / "cat.jpg", name="photos/cat.jpg"))
    assert (found["bucket"], found["name"], found["size"]) == ("photos", "cat.jpg", 7)


@pytest.mark.whole
def test_another_stage_of_a_pipeline_knows_the_name_too(server: Server, file: str) -> None:
    with Server(f"{file}:Whole") as second:
        found = told(server.pipeline([second], "photos/cat.jpg", b"123"))
    assert (found["bucket"], found["name"]) == ("photos", "cat.jpg")


def test_each_of_many_at_once_is_told_of_itself(server: Server) -> None:
    names = [f"b/{number}" for number in range(40)]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda name: told(server.put(name, name.encode())), names))
    assert [f"{found['bucket']}/{found['name']}" for found in answers] == names
    assert [found["size"] for found in answers] == [len(name) for name in names]


def test_a_job_and_a_sender_say_what_else_is_known(server: Server) -> None:
    info = {"size": 9, "etag": '"abc"', "content_type": "image/png", "metadata": {"a": "ü"}, "seconds": 5}
    target = object_target("b/o")
    found = told(read_reply(ask(server.url, Sent("PUT", target, b"123", {OBJECT_INFO: json.dumps(info)}), 60)))
    assert (found["size"], found["etag"], found["content_type"]) == (9, "abc", "image/png")
    assert found["metadata"] == {"a": "ü"}
    assert 0 < found["time_left"] < 5
    found = told(read_reply(ask(server.url, Sent("PUT", target, b"123", {"Content-Type": "image/webp"}), 60)))
    assert (found["content_type"], found["etag"], found["metadata"]) == ("image/webp", "", {})
    for odd in ("no json", "[1]", '{"size": "x", "metadata": 3, "seconds": "y"}'):
        assert told(read_reply(ask(server.url, Sent("PUT", target, b"123", {OBJECT_INFO: odd}), 60)))["size"] == 3


@pytest.mark.whole
@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        ("Astray", "LookupError: transform_batch has several objects: self.objects has one for each, in order"),
        ("Own", "of my own 3"),
        ("Outside", "self.object is the object that is being transformed, and none is here"),
    ],
)
def test_elsewhere_there_is_none_and_a_class_may_have_its_own(file: str, cls: str, sentence: str) -> None:
    with Server(f"{file}:{cls}") as server:
        answer = server.put("b/o", b"1")
    assert sentence in (answer.error or answer.body.decode())


def test_what_nobody_has_said_is_empty() -> None:
    nothing = ObjectInfo(AccessLogEntry(1, "PUT", "", []))
    assert (nothing.bucket, nothing.name, nothing.size, nothing.content_type, nothing.etag) == ("", "", None, "", "")
    assert nothing.metadata == {}


# Readers that can go back


def archive(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a", data)
        made.writestr("b", b"end")
    return file.getvalue()


@pytest.mark.parametrize("size", [0, pytest.param(3_000_000, marks=pytest.mark.whole)])
def test_a_seekable_class_may_go_back_in_an_object_however_it_comes(file: str, tmp_path: Path, size: int) -> None:
    data = bytes(size)
    (tmp_path / "a.zip").write_bytes(archive(data))
    with Server(f"{file}:Unzip") as server:
        for way, ask_for in WAYS.items():
            assert ask_for(server, "b/a.zip", archive(data)).body == data + b"end", way
        assert server.file(tmp_path / "a.zip").body == data + b"end"
        for send in (server.put, server.pull):
            cut = send("b/a.zip", archive(data), cut=True)
            assert cut.result is None
            assert "BadZipFile" not in cut.error


@pytest.mark.whole
def test_an_asynchronous_one_may_too(file: str) -> None:
    with Server(f"{file}:AsyncBack") as server:
        assert server.put("b/o", b"0123456789").body == b"789"


def test_a_disk_that_takes_no_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(
        StorageFullError, match=r"an object of a class that is seekable can't be kept .*: No space left"
    ):
        spooled(BytesReader(b"data"))


@pytest.mark.whole
def test_one_that_reads_forward_says_why_and_what_to_do(file: str) -> None:
    with Server(f"{file}:Forward") as server:
        error = server.put("b/o", b"1").error
    assert "the object can only be read forward, as it comes, so there is no seek()" in error
    assert "set seekable = True on the class" in error


def test_a_class_says_true_or_false() -> None:
    class Odd(ETLServer):
        seekable = "yes"  # type: ignore[assignment]

        def transform(self, data: bytes | str, path: str, etl_args: Any) -> bytes:
            return b""

    with pytest.raises(UnfitClassError, match=r"Odd.seekable is 'yes'; it takes True or False"):
        Odd()
