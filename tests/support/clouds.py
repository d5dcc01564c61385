"""A cloud on this machine: moto, which speaks Amazon's protocol, and its buckets as they are seen from outside."""

import contextlib
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
