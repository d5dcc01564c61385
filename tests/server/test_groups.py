"""Groups of small objects: each is answered as if it had come alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from instore.protocol.object_groups import HEAD_SIZE, GroupedObject, decode_head, decode_headers, encode_group
from tests.support.servers import TRANSFORMS, Server, running

PATIENCE = 30.0
ONE_BY_ONE = """
from instore import ETLServer, Skip

class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        if data == b"bad":
            raise ValueError("it is bad")
        if data == b"skip":
            raise Skip("nobody wants it")
        return data.upper() + etl_args.encode()
"""
TOGETHER = """
from instore import ETLServer

class Upper(ETLServer):
    def transform_batch(self, data, paths, etl_args):
        return [ValueError("it is bad") if one == b"bad" else one.upper() + etl_args.encode() for one in data]
"""
ASYNCHRONOUS = """
import asyncio
from instore import ETLServer

class Upper(ETLServer):
    concurrency = 4

    async def transform(self, data, path, etl_args):
        await asyncio.sleep(0.01)
        if data == b"bad":
            raise ValueError("it is bad")
        return data.upper() + etl_args.encode()
"""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "objects"
    folder.mkdir()
    return folder


@pytest.fixture(params=[ONE_BY_ONE, TOGETHER, ASYNCHRONOUS], ids=["one by one", "together", "asynchronous"])
def server(tmp_path: Path, folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(tmp_path, request.param, environment={"INSTORE_FILE_ROOTS": str(folder)}) as server:
        yield server


def post(server: Server, group: object) -> requests.Response:
    return requests.post(f"{server.url}/group", data=json.dumps(group), timeout=PATIENCE)


def answers(body: bytes) -> dict[int, Answer]:
    """The answers of a group by their objects' numbers."""
    found = {}
    while body:
        head = decode_head(body[:HEAD_SIZE])
        headers, body = body[HEAD_SIZE:][: head.headers_size], body[HEAD_SIZE + head.headers_size :]
        assert head.number not in found
        found[head.number] = Answer(head.status, decode_headers(headers), body[: head.body_size])
        body = body[head.body_size :]
    return found


def test_each_object_of_a_group_has_the_answer_that_it_would_have_alone(server: Server, folder: Path) -> None:
    texts = ["cat", "bad", "", "dog"]
    for number, text in enumerate(texts):
        (folder / f"{number}").write_text(text)
    (folder.parent / "secret").write_text("secret")
    files = [str(folder / f"{number}") for number in range(6)] + [str(folder.parent / "secret")]
    group = [[f"b/{number}", file, "!", False] for number, file in enumerate(files)]
    found = answers(post(server, group).content)
    alone = [
        requests.put(f"{server.url}/b/{number}", params={"etl_fqn": file, "etl_args": "!"}, timeout=PATIENCE)
        for number, file in enumerate(files)
    ]
    assert found.keys() == set(range(len(files)))
    for number, answer in enumerate(alone):
        assert (found[number].status, found[number].body) == (answer.status_code, answer.content)
        assert found[number].headers["content-type"] == answer.headers["content-type"]
    assert [found[number].status for number in range(7)] == [200, 422, 200, 200, 404, 404, 403]


def test_an_object_whose_bytes_go_along_has_the_answer_that_it_would_have_alone(server: Server) -> None:
    texts = ["cat", "bad", "", "skip", "dog"]
    objects = [GroupedObject(f"b/{number}", "", "!", body=text.encode()) for number, text in enumerate(texts)]
    found = answers(requests.post(f"{server.url}/group", data=encode_group(objects), timeout=PATIENCE).content)
    alone = [
        requests.put(f"{server.url}/b/{number}", params={"etl_args": "!"}, data=text, timeout=PATIENCE)
        for number, text in enumerate(texts)
    ]
    assert found.keys() == set(range(len(texts)))
    for number, answer in enumerate(alone):
        assert (found[number].status, found[number].body) == (answer.status_code, answer.content)
        assert found[number].headers["content-type"] == answer.headers["content-type"]


def test_files_and_bytes_go_in_one_group(server: Server, folder: Path) -> None:
    (folder / "o").write_text("cat")
    objects = [
        GroupedObject("b/1", "", "?", body=b"owl"),
        GroupedObject("b/2", str(folder / "o"), "!"),
        GroupedObject("b/3", "", "!", body=b"dog"),
    ]
    found = answers(requests.post(f"{server.url}/group", data=encode_group(objects), timeout=PATIENCE).content)
    alone = [
        requests.put(f"{server.url}/b/1", params={"etl_args": "?"}, data=b"owl", timeout=PATIENCE),
        requests.put(f"{server.url}/b/2", params={"etl_args": "!"}, data=b"cat", timeout=PATIENCE),
        requests.put(f"{server.url}/b/3", params={"etl_args": "!"}, data=b"dog", timeout=PATIENCE),
    ]
    assert [found[number].body for number in range(3)] == [answer.content for answer in alone]


@pytest.mark.parametrize(
    "group",
    [
        [],
        {},
        [["b/o"]],
        [["b/o", "", "", False]],
        [["", "/f", "", False]],
        [["b/o", 7, "", False]],
        [7],
        [["b/o", "/f", "", False]] * 65,
    ],
    ids=str,
)
def test_what_is_no_group_is_refused(tmp_path: Path, group: object) -> None:
    with running(tmp_path, ONE_BY_ONE) as server:
        answer = post(server, group)
        assert answer.status_code == 400
        assert "this is not a group of objects" in answer.text


def test_a_skipped_object_of_a_group_says_so(tmp_path: Path, folder: Path) -> None:
    (folder / "o").write_text("skip")
    with running(tmp_path, ONE_BY_ONE, environment={"INSTORE_FILE_ROOTS": str(folder)}) as server:
        (answer,) = answers(post(server, [["b/o", str(folder / "o"), "", False]]).content).values()
        assert (answer.status, answer.headers["instore-skipped"]) == (422, "true")
        assert b"nobody wants it" in answer.body


@pytest.mark.parametrize("name", ["echo", "batched", "async_buffered"])
def test_a_class_that_makes_one_whole_result_takes_groups(tmp_path: Path, name: str) -> None:
    with running(tmp_path, TRANSFORMS / f"{name}.py") as server:
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).headers["Instore-Groups"] == "true"


def test_a_class_that_streams_takes_none(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "streamed_echo.py") as server:
        assert "Instore-Groups" not in requests.get(f"{server.url}/health", timeout=PATIENCE).headers
