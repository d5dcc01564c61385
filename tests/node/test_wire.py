"""What clients do that no SDK would: bodies that end early, readers that leave, requests that are not of the API."""

import contextlib
import json
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError

from tests.node.test_objects import LARGE
from tests.support.node import RunningNode, running_node, wait_until


def connect(node: RunningNode) -> socket.socket:
    url = urlsplit(node.endpoint)
    return socket.create_connection((url.hostname or "", url.port or 0), timeout=30)


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def rest_of(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


HUGE_RANGE = '{"action": "delete-listrange", "value": {"template": "{1..%s}"}}' % ("9" * 5000)
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 10", b"12345"),
        ("Content-Length: 3000000", LARGE[:2_500_000]),
        (CHUNKED, b"5\r\n12345\r\n"),
        (CHUNKED, b"5\r\n12345\r\n5\r\n12"),
        (CHUNKED, b"200000\r\n" + LARGE[: 1 << 21] + b"\r\n"),
    ],
    ids=["length", "length, large", "chunks", "within a chunk", "chunks, large"],
)
@pytest.mark.parametrize("query", ["", "&append_type=append&append_handle="])
def test_a_body_that_ends_early_is_not_stored(
    node: RunningNode, bucket: Bucket, framing: str, body: bytes, query: str
) -> None:
    bucket.object("o").get_writer().put_content(b"old")
    with connect(node) as connection:
        connection.sendall(head("PUT", f"/v1/objects/{bucket.name}/o?provider=ais{query}", framing) + body)
        connection.shutdown(socket.SHUT_WR)
        assert not rest_of(connection).startswith(b"HTTP/1.1 200")
    assert bucket.object("o").get_reader().read_all() == b"old"
    wait_until(lambda: not list(node.folder.glob(f"t*/@ais/{bucket.name}/%wk/put.*")))


def test_what_a_broken_append_brought_is_taken_back(node: RunningNode, bucket: Bucket) -> None:
    writer = bucket.object("o").get_writer()
    handle = writer.append_content(b"good ")
    path = f"/v1/objects/{bucket.name}/o?append_type=append&append_handle={handle}"
    with connect(node) as connection:
        connection.sendall(head("PUT", path, "Content-Length: 3000000") + LARGE[:2_500_000])
        connection.shutdown(socket.SHUT_WR)
        rest_of(connection)

    def append() -> bool:
        return requests.put(node.endpoint + path, data=b"better").status_code == 200

    wait_until(append)  # the broken request may still have the handle
    writer.append_content(b"", handle, flush=True)
    assert bucket.object("o").get_reader().read_all() == b"good better"


def test_a_reader_that_leaves_is_no_burden(node: RunningNode, bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(LARGE * 10)
    opened = Path(f"/proc/{node.process.pid}/fd")
    for _ in range(5):
        with connect(node) as connection:
            connection.sendall(head("GET", f"/v1/objects/{bucket.name}/o"))
            connection.recv(1000)
    wait_until(lambda: not any("%ob" in path for path in _paths(opened)))
    assert bucket.object("o").get_reader().read_all() == LARGE * 10


def _paths(descriptors: Path) -> Iterator[str]:
    """What is open; one that is closed while we look is not."""
    for one in descriptors.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(one.readlink())


def test_a_slow_reader_gets_what_it_opened(node: RunningNode, bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(LARGE * 5)
    with connect(node) as connection:
        connection.sendall(head("GET", f"/v1/objects/{bucket.name}/o", "Connection: close"))
        start = connection.recv(1000)
        bucket.object("o").get_writer().put_content(b"new")
        bucket.object("o").delete()
        body = (start + rest_of(connection)).partition(b"\r\n\r\n")[2]
    assert body == LARGE * 5


def test_readers_see_the_old_object_or_the_new_one(node: RunningNode, bucket: Bucket) -> None:
    url = f"{node.endpoint}/v1/objects/{bucket.name}/o"
    contents = [bytes([65 + number]) * size for number, size in enumerate((10, 70_000, 1_500_000, 3_000_000))]
    known = {(len(content), content[:1]) for content in contents}
    requests.put(url, data=contents[0])

    def write(number: int) -> None:
        with requests.Session() as session:
            for turn in range(15):
                assert session.put(url, data=contents[(number + turn) % 4]).status_code == 200

    def read(_number: int) -> None:
        with requests.Session() as session:
            for _ in range(40):
                answer = session.get(url)
                assert answer.status_code == 200
                assert (len(answer.content), answer.content[:1]) in known
                assert answer.content == answer.content[:1] * len(answer.content)

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(write, number) for number in range(4)]
        tasks += [threads.submit(read, number) for number in range(4)]
        for task in tasks:
            task.result()
    assert bucket.object("o").props.obj_version == "61"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        bucket = node.client().bucket("b").create()
        bucket.object("o").get_writer().put_content(b"old")
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        for name in ("o", "p"):
            with pytest.raises(AISError, match="File too large") as full:
                bucket.object(name).get_writer().put_content(LARGE)
            assert full.value.status_code == 507
        assert [entry.name for entry in bucket.list_all_objects()] == ["o"]
        assert bucket.object("o").get_reader().read_all() == b"old"
        assert list(node.folder.glob("t*/@ais/b/%wk/*")) == []
        bucket.object("small").get_writer().put_content(b"x")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 501),
        ("GET", "/v2/health", None, 501),
        ("GET", "/v1/nothing", None, 501),
        ("GET", "/v1/sort?id=x", None, 501),
        ("GET", "/v1/ml/moss/b", None, 501),
        ("POST", "/v1/download", "{}", 501),
        ("GET", "/v1/daemon?what=smapvote", None, 501),
        ("GET", "/v1/cluster?what=everything", "{}", 501),
        ("PUT", "/v1/cluster", '{"action": "set-primary"}', 501),
        ("PUT", "/v1/cluster", '{"action": "stop", "value": {}}', 400),
        ("GET", "/v1/reverse/daemon?what=log", None, 400),
        ("GET", "/v1/reverse/daemon?what=node_status", None, 400),
        ("GET", "/v1/buckets/BUCKET", "not json", 400),
        ("GET", "/v1/buckets/BUCKET", "[1]", 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": 7}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": {"pagesize": "many"}}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": {"pagesize": -1}}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": {"flags": "8"}}', 501),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": "text"}', 200),
        ("POST", "/v1/buckets/BUCKET", '{"action": "ec-encode"}', 501),
        ("POST", "/v1/buckets/BUCKET", '{"action": "copy-bck"}', 400),
        ("POST", "/v1/buckets/BUCKET", '{"action": "copy-listrange", "value": {"tobck": "x", "template": "y"}}', 400),
        ("DELETE", "/v1/buckets/BUCKET", '{"action": "delete-listrange", "value": {"objnames": "x"}}', 400),
        ("DELETE", "/v1/buckets/BUCKET", '{"action": "delete-listrange", "value": {"objnames": [1]}}', 400),
        ("DELETE", "/v1/buckets/BUCKET", '{"action": "delete-listrange"}', 400),
        ("PATCH", "/v1/buckets/BUCKET", '{"action": "set-bprops"}', 501),
        ("POST", "/v1/objects/BUCKET", '{"action": "promote"}', 501),
        ("POST", "/v1/objects/BUCKET/o", '{"action": "blob-download"}', 501),
        ("POST", "/v1/objects/BUCKET/o?uploadId=x", '{"action": "mpt-complete", "value": 7}', 400),
        ("GET", "/v1/objects/BUCKET/o?archpath=x", None, 501),
        ("GET", "/v1/objects/BUCKET/o?etl_name=abcdef", None, 404),
        ("PUT", "/v1/objects/BUCKET/o?append_type=prepend", "x", 400),
        ("PUT", "/v1/objects/BUCKET/o?object_to=nonsense", None, 400),
        ("PUT", "/v1/objects/BUCKET/o?object_to=ais/@%23/BUCKET/../x", None, 400),
        ("OPTIONS", "/v1/objects/BUCKET/o", None, 501),
        ("PATCH", "/v1/objects/BUCKET/o", '{"value": {"a": 1}}', 400),
        ("PATCH", "/v1/objects/BUCKET/o", '{"value": {"a": "\\ud800"}}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": {"prefix": "\\ud800/"}}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": {"prefix": "\\ud83d\\ude00"}}', 200),
        ("GET", "/v1/buckets/BUCKET", b'{"action": "\xff"}', 400),
        ("GET", "/v1/buckets/BUCKET", '{"action": "list", "value": ' + '{"a":' * 100_000, 400),
        ("DELETE", "/v1/buckets/BUCKET", HUGE_RANGE, 400),
        ("PUT", "/v1/buckets/BUCKET", '{"action": "archive", "value": {"objnames": ["a"]}}', 501),
        ("POST", "/v1/buckets/BUCKET", '{"action": "create-inventory", "value": {}}', 501),
        ("POST", "/v1/buckets/BUCKET", '{"action": "prefetch-listrange", "value": {"objnames": ["a"]}}', 501),
    ],
)  # fmt: skip
def test_what_is_not_understood_or_not_supported_is_told_in_the_sdk_s_form(
    node: RunningNode, bucket: Bucket, method: str, path: str, body: str | bytes | None, status: int
) -> None:
    answer = requests.request(method, node.endpoint + path.replace("BUCKET", bucket.name), data=body)
    assert answer.status_code == status, answer.text
    if status != 200:
        error = json.loads(answer.text)
        assert error["status"] == status
        assert error["method"] == method
        assert len(error["message"]) > 10
        assert "internal" not in error["message"]


def test_a_message_without_end_is_refused(node: RunningNode) -> None:
    with connect(node) as connection:
        connection.sendall(head("GET", "/v1/buckets", "Content-Length: 99999999999"))
        sent = 0
        try:
            while sent < 80 << 20:
                sent += connection.send(bytes(1 << 20))
        except ConnectionError:
            pass
        else:
            assert connection.recv(12) == b"HTTP/1.1 400"
    assert requests.get(node.endpoint + "/v1/health").status_code == 200
