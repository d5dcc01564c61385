"""Versity's S3 gateway, a server that keeps objects in a folder: Amazon's protocol by other hands than moto's.

It is built from its source on first use, which takes minutes, and lies in `.peers/`, which git ignores.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.compat.commands import free_port
from tests.support.clouds import CREDENTIALS, Cloud, client_of
from tests.support.environments import FOLDER, alone
from tests.support.node import wait_until

_MODULE = "github.com/versity/versitygw/cmd/versitygw"
_VERSION = "v1.8.0"
_PROGRAM = FOLDER / "go" / f"versitygw-{_VERSION}"


@contextlib.contextmanager
def running_versity(tmp_path: Path) -> Iterator[Cloud]:
    """The server on a free port until the context ends. The test is skipped where it can't be built."""
    program, port = _program(), free_port()
    folder = tmp_path / "objects"
    folder.mkdir()
    endpoint = f"http://127.0.0.1:{port}"
    keys = {
        "ROOT_ACCESS_KEY": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    with (tmp_path / "versity.log").open("w") as log:
        process = subprocess.Popen(
            [program, "--port", f"127.0.0.1:{port}", "--region", CREDENTIALS["AWS_DEFAULT_REGION"], "posix", folder],
            env={**os.environ, **keys},
            stdout=log,
            stderr=log,
        )
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


def _program() -> Path:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("Versity's server can't be built here: there is no Go")
    FOLDER.mkdir(exist_ok=True)
    with alone(FOLDER / "go.lock"):
        if not _PROGRAM.exists():
            _build(go)
    return _PROGRAM


def _build(go: str) -> None:
    folder = _PROGRAM.parent / "building"
    done = subprocess.run(
        [go, "install", f"{_MODULE}@{_VERSION}"],
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"Versity's server can't be built here: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "versitygw").rename(_PROGRAM)
