"""A job that is killed with -9 again and again, wherever from and to: every result right, and none stored twice."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aistore import Client
from obstore.store import AzureStore

from tests.offline.support import fill
from tests.support.azurite import AZURE, make_container, running_azurite
from tests.support.clouds import Cloud, google_key
from tests.support.faulty_cloud import faulty_cloud
from tests.support.node import running_node, wait_until

_LONG = 600.0  # seconds that a command may take to begin, on a machine that has others to run

SLOW = """
import time
from instore import ETLServer

class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        time.sleep(0.02)
        return data.upper()
"""


@dataclass
class Destination:
    """Where results go, as it is seen from outside.

    Attributes:
        place: as a job names it.
        names: of what is there.
        content: what is there.
        stored: how often each was stored, where the place tells.
    """

    place: str
    names: Callable[[], set[str]]
    content: Callable[[], dict[str, bytes]]
    stored: Callable[[], Counter[str]]


@dataclass
class Places:
    """Stores of every kind, and places in them.

    Attributes:
        objects: what a source has.
        variables: what a job's environment needs.
    """

    folder: Path
    cloud: Cloud
    undo: ExitStack
    objects: dict[str, bytes] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def source(self, scheme: str) -> str:
        """A place of that kind with the objects."""
        kinds = {"folder": self._folder, "s3": self._s3, "gs": self._google, "az": self._azure, "ais": self._ais}
        return kinds[scheme]()

    def destination(self, scheme: str) -> Destination:
        """An empty place of that kind."""
        if scheme == "folder":
            place = self.folder / "dst"
            place.mkdir()
            return Destination(
                str(place),
                lambda: {name for name in self.objects if (place / name).exists()},
                lambda: {name: (place / name).read_bytes() for name in self.objects if (place / name).exists()},
                Counter,
            )
        bucket = self.cloud.bucket()
        self.cloud.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return Destination(
            f"s3://{bucket}",
            lambda: set(self._stored(bucket)),
            lambda: self.cloud.content(bucket),
            lambda: self._stored(bucket),
        )

    def _stored(self, bucket: str) -> Counter[str]:
        pages = self.cloud.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
        return Counter(one["Key"] for page in pages for one in page.get("Versions", ()))

    def _folder(self) -> str:
        fill(self.folder / "src", list(self.objects))
        return str(self.folder / "src")

    def _s3(self) -> str:
        return f"s3://{self.cloud.bucket(self.objects)}"

    def _google(self) -> str:
        google = self.undo.enter_context(faulty_cloud(self.cloud.endpoint))
        google.is_google = True
        self.variables |= {"GOOGLE_BASE_URL": google.endpoint, "GOOGLE_SERVICE_ACCOUNT": google_key(self.folder)}
        return f"gs://{self.cloud.bucket(self.objects)}"

    def _azure(self) -> str:
        endpoint = self.undo.enter_context(running_azurite(self.folder))
        make_container(endpoint, "place")
        name, key = AZURE.values()
        store = AzureStore(
            "place", endpoint=endpoint, account_name=name, account_key=key, client_options={"allow_http": True}
        )
        for one, data in self.objects.items():
            store.put(one, data)
        self.variables |= {**AZURE, "AZURE_STORAGE_ENDPOINT": endpoint}
        return "az://place"

    def _ais(self) -> str:
        node = self.undo.enter_context(running_node(self.folder))
        self.variables |= {"AIS_ENDPOINT": node.endpoint}
        client: Client = node.client()
        bucket = client.bucket("place").create()
        for name, data in self.objects.items():
            bucket.object(name).get_writer().put_content(data)
        return "ais://place"


@pytest.fixture
def places(tmp_path: Path, cloud: Cloud) -> Iterator[Places]:
    (tmp_path / "upper.py").write_text(SLOW)
    with ExitStack() as undo:
        yield Places(tmp_path, cloud, undo)


def start(places: Places, source: str, destination: str) -> "subprocess.Popen[bytes]":
    options = ("--workers", "2", "--report", str(places.folder / "report.jsonl"))
    return subprocess.Popen(
        [sys.executable, "-m", "instore", "transform", str(places.folder / "upper.py"), source, destination, *options],
        env={**os.environ, **places.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill(process: "subprocess.Popen[bytes]", to: Destination, wanted: int) -> set[str]:
    """Kill a job that has stored so many; what is there once the store has dealt with all that the job had sent it."""
    wait_until(lambda: process.poll() is not None or len(to.names()) >= wanted, _LONG)
    assert process.poll() is None, "it has ended before it was killed"
    process.kill()
    process.communicate()
    looks = [to.names()]

    def is_at_rest() -> bool:
        looks.append(to.names())
        return looks[-1] == looks[-2]

    wait_until(is_at_rest, _LONG)
    return looks[-1]


FEW = [("s3", "folder", 2, 300), ("folder", "s3", 1, 300)]
MANY = [
    pytest.param(source, destination, 9, 2000, marks=pytest.mark.soak)
    for source, destination in [
        ("folder", "s3"), ("s3", "folder"), ("s3", "s3"), ("gs", "folder"), ("az", "folder"), ("ais", "s3"),
    ]
]  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize(("source", "destination", "kills", "count"), [*FEW, *MANY])
def test_every_result_is_right_and_none_is_stored_twice(
    places: Places, source: str, destination: str, kills: int, count: int
) -> None:
    names = [f"{number % 3}/x{number:04}" for number in range(count)]
    places.objects = {name: f"object {name}".encode() for name in names}
    results = {name: data.upper() for name, data in places.objects.items()}
    origin, to = places.source(source), places.destination(destination)
    numbers = random.Random(kills)
    there: set[str] = set()
    for _ in range(kills):
        there = kill(start(places, origin, to.place), to, len(there) + numbers.randrange(1, 16))
        assert to.content().items() <= results.items()
    process = start(places, origin, to.place)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    assert to.content() == results
    assert set(to.stored().values()) <= {1}
    lines = map(json.loads, (places.folder / "report.jsonl").read_text().splitlines())
    done = Counter(line["name"] for line in lines if line.get("outcome") == "done")
    assert set(done.values()) == {1}
