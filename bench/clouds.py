"""`instore transform` from a bucket of small objects to a folder or another bucket, and others' ways there, in turn.

The store is Versity's S3 gateway: a bucket of it is a folder, and an object a file there. Nothing is deleted before the
end, for the reason that `bench/offline.py` gives.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from obstore.store import S3Store

from bench import peers
from bench.offline import PROGRAM, SCRIPT, object_name
from bench.peers import ROOT
from bench.processes import BOTH_CORES, BenchError, started
from bench.site import HOST, Site, WrongAnswerError, free_port, slice_of_block, wait_until_ready
from tests.support.clouds import CREDENTIALS
from tests.support.environments import UnavailableError
from tests.support.versity import VARIABLES, versity_command

_CLOUD_SCRIPT = (sys.executable, str(ROOT / "bench" / "cloud_script.py"))
_SOURCE = "objects"
_TIMEOUT = 900.0
_PUTTERS = 8


@dataclass(frozen=True)
class _Store:
    """A running store.

    Attributes:
        folder: in which each bucket is a folder.
        variables: what a client's environment needs.
        spare: a folder for what a way keeps on the disk.
    """

    folder: Path
    variables: Mapping[str, str]
    spare: Path


Way = Callable[[_Store, str], Iterator[Sequence[str]]]
"""The commands, one after the other, that put every object through an echo, and its result to a place."""


def instore(_store: _Store, to: str) -> Iterator[Sequence[str]]:
    """Ours, with as many workers as cores."""
    yield *PROGRAM, f"s3://{_SOURCE}", to


def boto3(_store: _Store, to: str) -> Iterator[Sequence[str]]:
    """A process with threads."""
    yield *_CLOUD_SCRIPT, f"s3://{_SOURCE}", to


def s5cmd(store: _Store, to: str) -> Iterator[Sequence[str]]:
    """A quick program that copies, around a script with multiprocessing.

    Raises:
        BenchError: the program can't be built.
    """
    if reason := peers.build_s5cmd():
        raise BenchError(reason)
    came, made = store.spare / "came", store.spare / "made"
    copy = (str(peers.S5CMD), "--log", "error", "cp")
    yield *copy, f"s3://{_SOURCE}/*", f"{came}/"
    if not to.startswith("s3://"):
        yield *SCRIPT, str(came), to
        return
    yield *SCRIPT, str(came), str(made)
    yield *copy, f"{made}/", f"{to}/"


def to_folder(site: Site, count: int, ways: Sequence[Way]) -> list[float]:
    """Objects per second of each way from a bucket of `count` objects to a folder; every result is compared.

    Raises:
        BenchError: there is no store, or a way can't be gone here.
        WrongAnswerError: a command failed, or a result is not the object.
    """
    with _store(site, count) as store:
        rates = []
        for way in ways:
            results = site.new_folder("results")
            rates.append(_rate(site, store, way, count, str(results), results))
        return rates


def to_bucket(site: Site, count: int, ways: Sequence[Way]) -> list[float]:
    """The same to another bucket."""
    with _store(site, count) as store:
        rates = []
        for way in ways:
            results = store.folder / site.new_folder("results").name
            results.mkdir()
            rates.append(_rate(site, store, way, count, f"s3://{results.name}", results))
        return rates


def _rate(site: Site, store: _Store, way: Way, count: int, to: str, results: Path) -> float:
    """That of all commands of a way together, start-up included."""
    commands = list(way(replace(store, spare=site.new_folder("spare")), to))
    subprocess.run(["sync"], check=True)  # what others have left to be written
    began = time.perf_counter()
    for command in commands:
        _run(command, store.variables)
    took = time.perf_counter() - began
    for number in range(count):
        path = results / object_name(number)
        if not path.exists() or path.read_bytes() != slice_of_block(number):
            raise WrongAnswerError(f"{way.__name__}: {object_name(number)} is not the object")
    return count / took


def _run(command: Sequence[str], variables: Mapping[str, str]) -> None:
    run = subprocess.run(
        ["taskset", "-c", BOTH_CORES, *command],
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    if run.returncode:
        raise WrongAnswerError(f"{Path(command[0]).name} ended with {run.returncode}: {run.stderr[-300:]}")


@contextlib.contextmanager
def _store(site: Site, count: int) -> Iterator[_Store]:
    """A store with `count` objects, on both cores as its clients, until the context ends."""
    port, folder = free_port(), site.folder / f"store-{count}"
    folder.mkdir(exist_ok=True)
    try:
        command = versity_command(port, folder)
    except UnavailableError as error:
        raise BenchError(str(error)) from error
    variables = site.variables() | CREDENTIALS | VARIABLES
    log = site.folder / "store.log"
    endpoint = f"http://{HOST}:{port}"
    with started(command, BOTH_CORES, log, variables, site.folder) as process:
        wait_until_ready(process, port, log, "/")
        if not (folder / _SOURCE).exists():
            _fill(endpoint, folder, count)
        client = variables | {"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint}
        yield _Store(folder, client, site.folder / "spare")


def _fill(endpoint: str, folder: Path, count: int) -> None:
    (folder / _SOURCE).mkdir()
    bucket = S3Store(
        _SOURCE,
        endpoint=endpoint,
        access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region=CREDENTIALS["AWS_DEFAULT_REGION"],
        client_options={"allow_http": True},
    )
    with ThreadPoolExecutor(_PUTTERS) as putters:
        for _ in putters.map(lambda number: bucket.put(object_name(number), slice_of_block(number)), range(count)):
            pass
    subprocess.run(["sync"], check=True)
