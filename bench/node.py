"""A job of `instore node`, and the same requests from a load generator to one server alone."""

import http.client
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import cloudpickle
from aistore import Client
from aistore.sdk.bucket import Bucket

from bench.load import Request, check, wrk_in_turn
from bench.processes import BOTH_CORES, BenchError, started
from bench.site import SMALL, Server, Site, WrongAnswerError, fqn_query
from bench.transforms import echo

_TARGETS = 2
_START_UP = 30.0
_PUTTERS = 8
_ETL = "echo-etl"


def server_alone(site: Site, server: Server, count: int, warm_up: float, seconds: float) -> float:
    """Objects per second of one server whose load asks it for `count` small files in turn, to be put to the target."""
    requests = [
        Request(
            "PUT",
            f"/bench/{path.name}?{fqn_query(path)}",
            SMALL,
            headers={"Ais-Node-Url": site.destination(path.name)},
            delivers=True,
        )
        for path in site.small_objects(count)
    ]
    check(site, server, requests[0])
    if warm_up:
        wrk_in_turn(site, server, requests, warm_up)
    return wrk_in_turn(site, server, requests, seconds)


def job(site: Site, count: int) -> float:
    """Objects per second of a job of a node with two targets over the same files; every result is compared.

    Raises:
        WrongAnswerError: the job failed, or a result is not the object.
    """
    paths = site.small_objects(count)
    # Nothing is removed before the end: ext4 takes long for a new file where many have just been deleted.
    folder = Path(tempfile.mkdtemp(prefix="node-", dir=site.folder))
    log = folder.with_suffix(".log")
    command = [str(Path(sys.executable).parent / "instore"), "node", "--dir", str(folder), "--port", "0"]
    with started([*command, "--targets", str(_TARGETS)], BOTH_CORES, log, site.variables(), site.folder):
        endpoint = _endpoint(log)
        client = Client(endpoint)
        source = client.bucket("bench").create()
        _put_all(endpoint, paths)
        cloudpickle.register_pickle_by_value(echo)  # it is no package's, so that it has to travel along
        client.etl(_ETL).init_class(NUM_WORKERS="1")(echo.Transform)
        _run(client, source, "warm-up")
        rate = _run(client, source, "results")
        _compare(folder, paths)
    return rate


def _endpoint(log: Path) -> str:
    """Where a node listens, once it does."""
    until = time.monotonic() + _START_UP
    while time.monotonic() < until:
        if found := re.search(r"AIS_ENDPOINT=(\S+)", log.read_text()):
            return found[1]
        time.sleep(0.01)
    raise BenchError("the node did not start: " + log.read_text(errors="replace")[-500:])


def _put_all(endpoint: str, paths: Sequence[Path]) -> None:
    def put(some: Sequence[Path]) -> None:
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
        for path in some:
            connection.request("PUT", f"/v1/objects/bench/{path.name}", path.read_bytes())
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise WrongAnswerError(f"the node answered {answer.status} to a put")
        connection.close()

    with ThreadPoolExecutor(_PUTTERS) as putters:
        list(putters.map(put, (paths[first::_PUTTERS] for first in range(_PUTTERS))))


def _run(client: Client, source: Bucket, to: str) -> float:
    """Objects per second of one job, by the job's own clock."""
    job_id = source.transform(_ETL, client.bucket(to))
    if not client.job(job_id).wait(verbose=False).success:
        raise WrongAnswerError(f"the node's job failed: {client.job(job_id).status()}")
    snapshots = client.job(job_id).get_details().list_snapshots()
    began, ended = min(_time(one.start_time) for one in snapshots), max(_time(one.end_time) for one in snapshots)
    return float(sum(one.stats.objects for one in snapshots) / (ended - began))


def _time(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time, whatever digits its fraction has."""
    return datetime.fromisoformat(re.sub(r"\.(\d{6})\d*", r".\1", text)).timestamp()


def _compare(folder: Path, paths: Sequence[Path]) -> None:
    results = {path.name: path for path in folder.glob("*/@ais/results/%ob/*")}
    for path in paths:
        if path.name not in results or results[path.name].read_bytes() != path.read_bytes():
            raise WrongAnswerError(f"a job of the node: {path.name} is not the object")
