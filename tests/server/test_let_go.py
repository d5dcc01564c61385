"""What is over holds no memory, without the garbage collector: it would come too late where objects are large."""

import json
import socket
import time
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from instore.protocol.headers import RESULTS
from tests.support.servers import Server, running

PATIENCE = 30.0
MIB = 1 << 20
BODY = bytes(8 * MIB)
TIMES = 15
MOST = 110 * MIB
"""Far from what all objects of a test have together, and from what a few take that are under way."""
TAKES_RESULTS = {RESULTS: "true"}

HEADER = """
import gc
from instore import ETLServer, Result, Skip
gc.disable()
"""
WHOLE = """
class Whole(ETLServer):
    def transform(self, data, path, etl_args):
        if etl_args == "raise":
            raise ValueError("no")
        if etl_args == "skip":
            raise Skip("no")
        return data
"""
ASYNCHRONOUS = WHOLE.replace("def transform", "async def transform")
BATCH = """
class Batch(ETLServer):
    def transform_batch(self, data, paths, args):
        if args == "raise":
            raise ValueError("no")
        if args == "skip":
            return [Skip("no") for _ in data]
        return data
"""
MANY = """
class Many(ETLServer):
    def transform_many(self, data, path, etl_args):
        if etl_args == "raise":
            raise ValueError("no")
        if etl_args == "skip":
            raise Skip("no")
        yield Result(data, name="one")
"""
STREAM = """
class Stream(ETLServer):
    def transform_stream(self, reader, path, etl_args):
        data = reader.read()
        if etl_args == "raise":
            raise ValueError("no")
        if etl_args == "skip":
            raise Skip("no")
        yield data
"""


def peak(server: Server) -> int:
    """The most bytes of memory that the server has had."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "source", [WHOLE, ASYNCHRONOUS, BATCH, MANY, STREAM], ids=["whole", "asynchronous", "batch", "many", "stream"]
)
def test_an_object_is_let_go_when_it_is_answered_or_has_failed(tmp_path: Path, source: str) -> None:
    with running(tmp_path, HEADER + source) as server, requests.Session() as session:
        for args in ("", "raise", "skip"):
            for _ in range(TIMES):
                answer = session.put(
                    f"{server.url}/b/o", params={"etl_args": args}, data=BODY, headers=TAKES_RESULTS, timeout=PATIENCE
                )
                assert answer.ok is not bool(args)
            assert peak(server) < MOST, args


def test_a_result_that_is_taken_slowly_is_let_go(tmp_path: Path) -> None:
    file = tmp_path / "small"  # its request is served by callbacks
    file.write_bytes(b"x")
    source = HEADER + WHOLE.replace("return data", "return b'x' * (16 << 20)")
    request = f"PUT /b/o?etl_fqn={file} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with (
        running(tmp_path, source, environment={"INSTORE_FILE_ROOTS": str(tmp_path)}) as server,
        socket.create_connection((server.host, server.port), PATIENCE) as client,
    ):
        for _ in range(TIMES):
            client.sendall(request)
            time.sleep(0.01)
            due = 16 * MIB
            while due > 0:
                due -= len(client.recv(MIB))
        assert peak(server) < MOST


@pytest.mark.parametrize("args", ["", "raise"])
def test_an_object_over_a_websocket_is_let_go(tmp_path: Path, args: str) -> None:
    with running(tmp_path, HEADER + WHOLE) as server:
        for _ in range(TIMES):
            with connect(f"ws://{server.host}:{server.port}/ws", max_size=None, compression=None) as client:
                client.send(json.dumps({"path": "b/o", "etl_args": args}).encode())
                client.send(BODY)
                if args:
                    with pytest.raises(ConnectionClosed):
                        client.recv(PATIENCE)
                else:
                    assert client.recv(PATIENCE) == BODY
        assert peak(server) < MOST
