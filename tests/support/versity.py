"""Versity's S3 gateway, a server that keeps objects in a folder: Amazon's protocol by other hands than moto's.

Where it can't be built there is an `UnavailableError` with the reason.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.compat.commands import free_port
from tests.support.clouds import CREDENTIALS, Cloud, client_of
from tests.support.go_programs import go_program
from tests.support.node import wait_until

_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
_VERSION = "v1.8.0"

VARIABLES = {
    "ROOT_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"],
    "ROOT_SECRET_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
}
"""What its environment needs."""


def versity_command(port: int, folder: Path) -> list[str]:
    """The command that serves a folder, whose own folders are buckets, on a port of this machine."""
    place = ["--port", f"127.0.0.1:{port}", "--region", CREDENTIALS["AWS_DEFAULT_REGION"]]
    return [str(go_program("versitygw", _PACKAGE, _VERSION)), *place, "posix", str(folder)]


@contextlib.contextmanager
def running_versity(tmp_path: Path) -> Iterator[Cloud]:
    """The server on a free port until the context ends."""
    port = free_port()
    folder = tmp_path / "objects"
    folder.mkdir()
    endpoint = f"http://127.0.0.1:{port}"
    command = versity_command(port, folder)
    with (tmp_path / "versity.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **VARIABLES}, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or _answers(endpoint))
        assert process.poll() is None, (tmp_path / "versity.log").read_text()
        yield Cloud(endpoint, client_of(endpoint))
    finally:
        process.kill()
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        return requests.get(endpoint, timeout=60).status_code > 0
    except requests.ConnectionError:
        return False
