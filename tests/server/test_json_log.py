"""The log as JSON, and what a request is called on its way from hop to hop."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server.conftest import BUFFERED
from tests.server.test_direct_put import DESTINATION
from tests.server.test_metrics import of_workers
from tests.server.test_websocket import ws
from tests.support.node import wait_until
from tests.support.servers import Server, clean_environment, running
from tests.support.target import Target

JSON = ("--log-format", "json")
TALKATIVE = """
    import logging
    import warnings

    from instore import ETLServer


    class Talkative(ETLServer):
        def transform(self, data, path, etl_args):
            self.logger.info("two\\nlines of %s", path)
            logging.getLogger("mine").error("ümläut \\udcff", exc_info=ValueError("upside down"))
            warnings.warn("a warning")
            raise RuntimeError("no picture")
"""


def lines(server: Server) -> list[dict[str, Any]]:
    """The log; every line of it is a JSON object."""
    return [json.loads(line) for line in server.log_text().splitlines()]


def outcomes(server: Server) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line["logger"] == "instore.outcome" and "outcome" in line]


def test_every_line_is_an_object_whoever_wrote_it(tmp_path: Path) -> None:
    with running(tmp_path, TALKATIVE, options=(*JSON, "--workers", "2")) as server:
        assert requests.put(f"{server.url}/b/ö%0A", data=b"abc").status_code == 422
        killed = of_workers(server)[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: "starting another" in server.log_text())
    told = lines(server)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in told)
    by_logger = {line["logger"]: line for line in told}
    assert told[0]["message"].endswith(f"on {server.url}, 2 workers")
    assert by_logger["Talkative"]["message"] == "two\nlines of b/ö\n"
    assert by_logger["Talkative"]["level"] == "info"
    assert by_logger["mine"]["message"] == "ümläut \udcff"
    assert "ValueError: upside down" in by_logger["mine"]["stack"]
    assert "a warning" in by_logger["py.warnings"]["message"]
    (outcome,) = (line for line in told if line.get("outcome"))
    assert outcome["level"] == "warning"
    assert outcome["message"] == "object failed"
    assert outcome["object"] == "b/ö\n"
    assert (outcome["in"], outcome["outcome"], outcome["source"]) == (3, "failed", "body")
    assert "no picture" in outcome["error"]


def test_the_id_of_a_request_is_its_sender_s_and_the_next_hop_is_told(tmp_path: Path, no_puts: Target) -> None:
    given = {
        "a": "trace-1/2:3.4_5",
        "b": "x" * 128,
        "c": "x" * 129,
        "d": "two words",
        "e": 'a"quote',
        "f": "",
    }
    to_target = {"Ais-Node-Url": no_puts.host + DESTINATION}
    with running(tmp_path, BUFFERED, target_url=no_puts.url, options=(*JSON, "--log-level", "debug")) as server:
        for name, request_id in given.items():
            headers = {**to_target, "X-Request-Id": request_id}
            assert requests.put(f"{server.url}/b/{name}", data=b"abc", headers=headers).status_code == 204
        with ws(server) as connection:
            connection.send(json.dumps({"path": "b/ws"}).encode())
            connection.send(b"abc")
            connection.recv()
    told = [line["id"] for line in outcomes(server)]
    assert told[:6] == [put.headers["x-request-id"] for put in no_puts.puts]
    assert told[:2] == [given["a"], given["b"]]
    made = told[2:]
    assert len(set(made)) == 5
    assert not set(made) & set(given.values())
    assert all(line["put"] == 5 for line in outcomes(server)[:6])


@pytest.mark.parametrize(
    ("arguments", "form", "reason"),
    [
        (["serve", str(BUFFERED)], "json", "no target URL: set AIS_TARGET_URL"),
        (["serve", str(BUFFERED)], "text", "no target URL: set AIS_TARGET_URL"),
        (["node", "--host", "0.0.0.0"], "json", "set AIS_AUTHN_TOKEN or give --token"),
        (["runtime"], "json", "ETL_CLASS_PAYLOAD"),
    ],
    ids=["serve", "serve, text", "node", "runtime"],
)
def test_what_ends_a_command_is_said_in_the_form_of_its_log(
    tmp_path: Path, arguments: list[str], form: str, reason: str
) -> None:
    command = [sys.executable, "-m", "instore", *arguments, "--log-format", form]
    ended = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    if form == "json":
        told = json.loads(line)
        assert told["level"] == "error"
        assert reason in told["message"]
    else:
        assert line.startswith(f"instore: {reason}")


def test_a_line_that_nobody_reads_is_missed_as_json_too() -> None:
    script = (
        "import logging, sys, time, os\n"
        "from instore.system import logs\n"
        "logs._LINES = 2\n"
        "logs.log_to_stderr(logs.LogOptions('info', 'json'))\n"
        "for n in range(5000): logging.info('%s', 'x' * 1000)\n"
        "print('all logged', flush=True)\n"
        "sys.stdin.read()\n"
        "logging.info('the last'); logs.flush_logs(); os._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "all logged\n"
    _, errors = process.communicate()
    messages = [json.loads(line)["message"] for line in errors.splitlines()]
    assert any("lines of the log were dropped here" in message for message in messages)
