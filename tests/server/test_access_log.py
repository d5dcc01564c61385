"""The outcome log: one line for each object, which tells where its bytes came from and went."""

import json
import re
from pathlib import Path

import pytest
import requests

from instore.protocol.names import escape_fqn, escape_segment
from tests.server.conftest import BUFFERED, STREAMED
from tests.server.test_direct_put import DESTINATION
from tests.server.test_websocket import ws
from tests.support.servers import Server, running
from tests.support.target import Target

CAT = b"cat" * 50_000
PULLED = "ais/@#/photos/pulled"


@pytest.mark.parametrize("shape", [BUFFERED, STREAMED], ids=["buffered", "streamed"])
def test_each_object_has_a_line_with_its_request_way_and_bytes(
    tmp_path: Path, store: Path, target: Target, shape: str
) -> None:
    file = store / "cat"
    file.write_bytes(CAT)
    target.objects[escape_segment(PULLED)] = CAT
    with running(tmp_path, shape, target_url=target.url, options=("--log-level", "debug")) as server:
        ask_all(server, str(file), target)
    lines = [line for line in server.log_text().splitlines() if "instore.outcome" in line]
    told = [
        re.sub(r"^.*instore\.outcome (request=.) id=\S+ (.*) ms=[0-9.]+ (.*)$", r"\1 \2 \3", line) for line in lines
    ]
    read, sent = len(CAT), len(CAT) + 2
    moved = f"in={read} out={sent} put=0"
    assert told == [
        f"request=1 method=PUT object='photos/body' source=body next=- status=200 {moved} outcome=served",
        f"request=2 method=PUT object='photos/file' source=file next=- status=200 {moved} outcome=served",
        f"request=3 method=GET object='{PULLED}' source=target next=- status=200 {moved} outcome=served",
        f"request=4 method=PUT object='photos/put' source=file next={target.host}{DESTINATION} status=204 "
        f"in={read} out=0 put={sent} outcome=served",
        f"request=5 method=WS object='photos/ws' source=body next=- status=200 {moved} outcome=served",
    ]


def ask_all(server: Server, file: str, target: Target) -> None:
    """One object a way, one after the other."""
    named = f"etl_fqn={escape_fqn(file)}"
    requests.put(f"{server.url}/photos/body", data=CAT).raise_for_status()
    requests.put(f"{server.url}/photos/file?{named}").raise_for_status()
    requests.get(f"{server.url}/{escape_segment(PULLED)}").raise_for_status()
    to_target = {"Ais-Node-Url": target.host + DESTINATION}
    requests.put(f"{server.url}/photos/put?{named}", headers=to_target).raise_for_status()
    with ws(server) as connection:
        connection.send(json.dumps({"path": "photos/ws"}).encode())
        connection.send(CAT)
        assert connection.recv() == b"<" + CAT.upper() + b">"


def test_what_is_not_understood_has_a_line_too(tmp_path: Path) -> None:
    with running(tmp_path, BUFFERED) as server:
        assert (
            requests.put(f"{server.url}/photos/x", data=b"", headers={"Ais-Node-Url": "http://a,,"}).status_code == 400
        )
    (line,) = (line for line in server.log_text().splitlines() if "instore.outcome" in line)
    assert "method=PUT asked='/photos/x' status=0 in=0 out=0" in line
    assert "outcome=failed" in line
