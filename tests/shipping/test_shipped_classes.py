"""Classes that AIStore's client ships from an environment without instore, run in one without the SDK; and back."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.shipping.shipping import init_class, write_payload
from tests.support.environments import BOTH, OFFICIAL, OWN, need
from tests.support.servers import TARGET_PATH, clean_environment, running_command

pytestmark = pytest.mark.whole

SERVERS = {
    "FastAPIServer": "fastapi_server",
    "FlaskServer": "flask_server",
    "HTTPMultiThreadedServer": "http_multi_threaded_server",
}
TARGET_URL = f"http://127.0.0.1:9{TARGET_PATH}"

PLAIN = """
from aistore.sdk.etl.webserver.{module} import {server}

class Mine({server}):
    def transform(self, data, path, etl_args):
        return type(self).__mro__[1].__name__.encode() + b" " + data.upper() + etl_args.encode()

    def get_mime_type(self):
        return "text/plain"
"""
RICH = """
import functools
import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field

from aistore.sdk.errors import InvalidPipelineError
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
from aistore.sdk.etl.webserver.utils import parse_etl_pipeline

SEED = 7
TABLE = OrderedDict(a=1, b=[2, 3])
# %%
def digest(data, seed=SEED):
    return hashlib.md5(data + bytes([seed])).hexdigest()

def repeated(times):
    return lambda text: text * times

def logged(function):
    calls = []

    @functools.wraps(function)
    def wrapper(*arguments):
        calls.append(1)
        return function(*arguments)

    return wrapper
# %%
@dataclass
class Options:
    marks: list = field(default_factory=lambda: ["!", "?"])

class Mixin:
    twice = staticmethod(repeated(2))

    @property
    def mark(self):
        return self.options.marks[0]

class Base(FastAPIServer):
    options = Options()

    def __init__(self, host="0.0.0.0", port=8000):
        super().__init__(host=host, port=port)
        self.greeting = os.environ.get("GREETING", "none")
# %%
class Mine(Mixin, Base):
    @logged
    def transform(self, data, path, etl_args):
        import zlib

        try:
            parse_etl_pipeline("http://a,,b")
        except InvalidPipelineError as error:
            pipeline = type(error).__name__
        result = OrderedDict(
            digest=digest(data), twice=self.twice("ab"), mark=self.mark, table=TABLE, crc=zlib.crc32(data),
            greeting=self.greeting, pipeline=pipeline,
        )
        return json.dumps(result).encode()
"""
ANSWER = {
    "digest": "7b8e40e6baf572b60fcaf0d4a8aa7ce5",
    "twice": "abab",
    "mark": "!",
    "table": {"a": 1, "b": [2, 3]},
    "crc": 0x352441C2,
    "greeting": "hello",
    "pipeline": "InvalidPipelineError",
}


def runtime(python: Path, *options: str) -> list[str]:
    return [str(python), "-m", "instore", "runtime", "--host", "127.0.0.1", "--port", "0", *options]


@pytest.mark.parametrize("server", SERVERS)
def test_a_class_from_the_sdks_client_runs_where_the_sdk_is_not(tmp_path: Path, server: str) -> None:
    need(OFFICIAL, OWN)
    script = PLAIN.format(server=server, module=SERVERS[server])
    environment = init_class([OFFICIAL.python], tmp_path, script, "Mine", "NUM_WORKERS=1")
    with running_command(tmp_path, runtime(OWN.python), environment) as served:
        answer = requests.put(f"{served.url}/b/o?etl_args=x", data=b"abc")
    assert (answer.content, answer.headers["Content-Type"]) == (f"{server} ABCx".encode(), "text/plain")


@pytest.mark.parametrize("notebook", [False, True])
def test_a_class_arrives_with_all_that_its_script_or_notebook_gave_it(tmp_path: Path, notebook: bool) -> None:
    need(OFFICIAL, OWN)
    environment = init_class([OFFICIAL.python], tmp_path, RICH, "Mine", "GREETING='hello', NUM_WORKERS=2", notebook)
    with running_command(tmp_path, runtime(OWN.python), environment) as served:
        answers = [requests.put(f"{served.url}/b/o", data=b"abc").json() for _ in range(4)]
        assert "2 workers" in served.log_text()
    assert answers == [ANSWER] * 4


def test_where_the_sdk_is_installed_too_its_class_is_served_by_us(tmp_path: Path) -> None:
    need(OFFICIAL, BOTH)
    environment = init_class([OFFICIAL.python], tmp_path, RICH, "Mine", "GREETING='hello', NUM_WORKERS=1")
    with running_command(tmp_path, runtime(BOTH.python), environment) as served:
        answer = requests.put(f"{served.url}/b/o", data=b"abc")
        assert "Instore-Concurrency" in requests.get(f"{served.url}/health").headers
    assert answer.json() == ANSWER


OURS = """
from instore import ETLServer

class Mine(ETLServer):
    concurrency = 3

    def transform(self, data, path, etl_args):
        return data.upper()
"""


def test_a_class_of_ours_is_shipped_by_the_sdks_client(tmp_path: Path) -> None:
    need(BOTH, OWN)
    environment = init_class([BOTH.python], tmp_path, OURS, "Mine", "NUM_WORKERS=1")
    with running_command(tmp_path, runtime(OWN.python), environment) as served:
        assert requests.get(f"{served.url}/health").headers["Instore-Concurrency"] == "3"
        assert requests.put(f"{served.url}/b/o", data=b"abc").content == b"ABC"


OFFICIAL_RUNTIME = """
import base64, os, sys
import cloudpickle, uvicorn
from aistore.sdk.etl.webserver.base_etl_server import ETLServer

cls = cloudpickle.loads(base64.b64decode(os.environ["ETL_CLASS_PAYLOAD"]))
assert issubclass(cls, ETLServer)
assert "instore" not in sys.modules
uvicorn.run(cls().app, fd=int(sys.argv[1]))
"""
"""What AIStore's own runtime does with a payload."""


@contextmanager
def official_runtime(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The URL of the SDK's own server, which runs a payload until the context ends."""
    (folder / "bootstrap.py").write_text(OFFICIAL_RUNTIME)
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [OFFICIAL.python, "bootstrap.py", str(listener.fileno())],
        cwd=folder,
        env={**clean_environment(), "AIS_TARGET_URL": TARGET_URL, **environment},
        pass_fds=(listener.fileno(),),
    )
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert requests.get(f"{url}/health").ok  # it waits in the socket's queue until the server is there
        yield url
    finally:
        process.terminate()
        process.wait()
        listener.close()


def test_a_class_that_we_ship_under_the_sdks_names_runs_where_instore_is_not(tmp_path: Path) -> None:
    need(OFFICIAL, OWN)
    python: list[str | Path] = [OWN.python, "-m", "instore", "exec", OWN.python]
    payload = write_payload(python, tmp_path, RICH, "Mine")
    with official_runtime(tmp_path, {"ETL_CLASS_PAYLOAD": payload, "GREETING": "hello"}) as url:
        assert requests.put(f"{url}/b/o", data=b"abc").json() == ANSWER


def test_the_same_payload_runs_here(tmp_path: Path) -> None:
    need(OWN)
    python: list[str | Path] = [OWN.python, "-m", "instore", "exec", OWN.python]
    payload = write_payload(python, tmp_path, RICH, "Mine")
    environment = {"ETL_CLASS_PAYLOAD": payload, "GREETING": "hello", "NUM_WORKERS": "1"}
    with running_command(tmp_path, runtime(Path(sys.executable)), environment) as served:
        assert requests.put(f"{served.url}/b/o", data=b"abc").json() == ANSWER
