"""Clouds on this machine: moto, which speaks Amazon's protocol, and its buckets as they are seen from outside;
Azure's emulator, where it is installed."""

import base64
import contextlib
import email.utils
import hmac
import itertools
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.node import wait_until

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""What a user's environment has, for any store; and nothing of who runs the tests."""


@dataclass
class Cloud:
    """A running store.

    Attributes:
        endpoint: its URL.
        client: Amazon's own client of it.
    """

    endpoint: str
    client: Any
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def free_name(self) -> str:
        """The name of a bucket that is not there."""
        return f"bucket{next(self._numbers)}"

    def bucket(self, objects: dict[str, bytes] | None = None) -> str:
        """A new bucket with these objects; its name."""
        name = self.free_name()
        self.client.create_bucket(Bucket=name)
        self.put(name, objects or {})
        return name

    def put(self, bucket: str, objects: dict[str, bytes], **more: Any) -> None:
        """Put objects there."""
        for key, data in objects.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=data, **more)

    def content(self, bucket: str) -> dict[str, bytes]:
        """All that is there."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def head(self, bucket: str, key: str) -> dict[str, Any]:
        """What is known of an object."""
        found: dict[str, Any] = self.client.head_object(Bucket=bucket, Key=key)
        return found

    def unfinished(self, bucket: str) -> list[str]:
        """The names of uploads in parts that were begun, and neither ended nor given up."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


@pytest.fixture(scope="session")
def _cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


@pytest.fixture
def cloud(_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """One for all tests of a process, and the environment of its user."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": _cloud.endpoint}.items():
        monkeypatch.setenv(name, value)
    return _cloud


@contextlib.contextmanager
def running_cloud() -> Iterator[Cloud]:
    """A store on a free port until the context ends."""
    from moto.server import ThreadedMotoServer  # whose imports take a second

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        yield Cloud(endpoint, client_of(endpoint))
    finally:
        server.stop()


def client_of(endpoint: str) -> Any:
    """Amazon's own client of a store."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )


def google_key(folder: Path) -> str:
    """The file of a Google account, for a store that asks for no token."""
    path = folder / "google.json"
    path.write_text('{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}')
    return str(path)


AZURE = {
    "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
    "AZURE_STORAGE_ACCOUNT_KEY": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # every emulator's
    ),
}


@contextlib.contextmanager
def running_azurite(tmp_path: Path) -> Iterator[str]:
    """Azure's emulator on a free port until the context ends; its endpoint. The test is skipped where there is none."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.skip("Azure's emulator is not here: npm install --global azurite")
    place = ("--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0")
    log = tmp_path / "azurite.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [command, *place, "--skipApiVersionCheck", "--disableTelemetry"], cwd=tmp_path, stdout=file
        )
    try:
        wait_until(lambda: "listens on" in log.read_text())
        found = re.search(r"listens on (http://\S+)", log.read_text())
        assert found is not None
        yield f"{found[1]}/{AZURE['AZURE_STORAGE_ACCOUNT_NAME']}"
    finally:
        process.kill()
        process.wait()


def make_container(endpoint: str, name: str) -> None:
    """Make a container in Azure's emulator: the only thing here that obstore can't."""
    account = AZURE["AZURE_STORAGE_ACCOUNT_NAME"]
    date, version = email.utils.formatdate(usegmt=True), "2020-10-02"
    what = f"x-ms-date:{date}\nx-ms-version:{version}\n/{account}/{account}/{name}\nrestype:container"
    key = base64.b64decode(AZURE["AZURE_STORAGE_ACCOUNT_KEY"])
    signature = base64.b64encode(hmac.digest(key, ("PUT" + "\n" * 12 + what).encode(), "sha256")).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {account}:{signature}"}
    answer = requests.put(f"{endpoint}/{name}?restype=container", headers=headers, timeout=60)
    assert answer.status_code in (201, 409), answer.text
