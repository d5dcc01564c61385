"""What a streaming transform's reader can do is the same wherever the object comes from."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from instore.protocol.names import escape_fqn, escape_segment
from tests.support.servers import TRANSFORMS, Server, running
from tests.support.target import Target

USES = TRANSFORMS / "uses.py"


def archives() -> tuple[bytes, bytes]:
    """A tar and a zip file with one member each."""
    tar, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("member"))
    with zipfile.ZipFile(zipped, "w") as other:
        other.writestr("member", b"data")
    return tar.getvalue(), zipped.getvalue()


TAR, ZIP = archives()
TEXT = b"one\ntwo\nthree"

Ask = Callable[[bytes, str], bytes]


@pytest.fixture(scope="module")
def uses(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), USES, target_url=target.url) as server:
        yield server


@pytest.fixture(params=["body", "chunks", "file", "pull", "message"])
def ask(request: pytest.FixtureRequest, uses: Server, target: Target, store: Path) -> Ask:
    """Sends an object to the transform, from one kind of source; gives the answer's body."""

    def of_file(data: bytes, use: str) -> bytes:
        (store / "o").write_bytes(data)
        return requests.put(f"{uses.url}/b/o?etl_args={use}&etl_fqn={escape_fqn(str(store / 'o'))}").content

    def of_pull(data: bytes, use: str) -> bytes:
        name = escape_segment("ais/@#/b/o")
        target.objects[name] = data
        return requests.get(f"{uses.url}/{name}?etl_args={use}").content

    def of_message(data: bytes, use: str) -> bytes:
        with connect(f"ws://{uses.host}:{uses.port}/ws", compression=None) as connection:
            pipeline = f"{target.host}/ais%2F@%23%2Fb%2Fo"  # so that a failure is a message
            connection.send(json.dumps({"path": "b/o", "etl_args": use, "pipeline": pipeline}).encode())
            connection.send(data)
            answer = connection.recv()
        return target.puts[-1].body if isinstance(answer, str) else answer

    kinds: dict[str, Ask] = {
        "body": lambda data, use: requests.put(f"{uses.url}/b/o?etl_args={use}", data=data).content,
        "chunks": lambda data, use: requests.put(f"{uses.url}/b/o?etl_args={use}", data=iter([data])).content,
        "file": of_file,
        "pull": of_pull,
        "message": of_message,
    }
    return kinds[request.param]


@pytest.mark.parametrize(
    ("use", "wanted"),
    [("seek", "seek"), ("tell", "tell"), ("fileno", "fileno"), ("zip", "seek"), ("tar", "tell"), ("stdin", "fileno")],
)
def test_no_reader_goes_back_or_is_a_file_of_the_system_and_it_is_said_why(ask: Ask, use: str, wanted: str) -> None:
    answer = ask(ZIP if use == "zip" else TAR, use).decode()
    assert f"the object can only be read forward, as it comes, so there is no {wanted}()" in answer
    assert "io.BytesIO(reader.read())" in answer


@pytest.mark.parametrize(
    ("use", "data", "result"),
    [
        ("text", TEXT, b"Falseone\ntw"),
        ("lines", TEXT, b"one\n|two\n|three"),
        ("tar stream", TAR, b"member"),
        ("zip copy", ZIP, b"member"),
    ],
)
def test_what_is_read_forward_is_read_alike(ask: Ask, use: str, data: bytes, result: bytes) -> None:
    assert ask(data, use) == result
