"""The table of cases: what is measured, in which unit, and how it has to compare."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bench import batch, clouds, health, node, offline, ray, stream, websocket
from bench.load import Request, check, wrk
from bench.peers import EVERY, FASTAPI, FLASK, GO, INSTORE, UNHELD, Kind
from bench.processes import BOTH_CORES, forget_peak, memory
from bench.site import HOST, Server, Site, fqn_query, uname

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Pace:
    """How much of everything a run does.

    Attributes:
        rounds: how often each server's turn comes.
        seconds: of one measured window.
        warm_up: seconds before it.
        stream: bytes of the large object.
        files: of the offline job.
        objects: of the jobs from a bucket.
    """

    rounds: int
    seconds: float
    warm_up: float
    stream: int
    files: int
    objects: int


FULL = Pace(rounds=3, seconds=4, warm_up=1, stream=512 * MIB, files=20_000, objects=10_000)
QUICK = Pace(rounds=1, seconds=1, warm_up=0, stream=64 * MIB, files=1_000, objects=1_000)


@dataclass(frozen=True)
class Row:
    """One figure of a case, a row of the table.

    Attributes:
        label: what is measured.
        unit: of the figure.
        higher: more is better.
        least, aim: how many times as good as the best of the SDK's servers.
        least_go, aim_go: how many times as good as AIStore's Go framework.
        limit, limit_aim: bounds of the figure itself, where the peer sets no measure.
    """

    label: str
    unit: str
    higher: bool = True
    least: float | None = None
    aim: float | None = None
    least_go: float | None = None
    aim_go: float | None = None
    limit: float | None = None
    limit_aim: float | None = None


Measure = Callable[[Site, Kind, Pace], Sequence[float]]
Times = tuple[float, float]
"""How many times as good as a peer: at least, and as an aim."""

UNDER_WAY = (1, 16)
"""Objects on each WebSocket connection; a row for each."""


@dataclass(frozen=True)
class Case:
    """One case: a name for the command line, the rows it fills, and what fills them.

    Attributes:
        measure: one round of one server: a figure for each row.
        kinds: who takes part, in turn.
        quick: part of the short form.
    """

    name: str
    rows: tuple[Row, ...]
    measure: Measure
    kinds: tuple[Kind, ...] = EVERY
    quick: bool = True


def _rate(request: Callable[[Site, Kind], tuple[Server, Request]]) -> Measure:
    """Requests per second under wrk, between two requests that are looked at byte for byte."""

    def measure(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
        server, what = request(site, kind)
        check(site, server, what)
        if pace.warm_up:
            wrk(site, server, what, pace.warm_up)
        rate = wrk(site, server, what, pace.seconds)
        check(site, server, what)
        return (rate,)

    return measure


def _body(size: int) -> Measure:
    def request(site: Site, kind: Kind) -> tuple[Server, Request]:
        return site.server(kind, "echo"), Request("PUT", f"/bench/{size}", size, site.object(size))

    return _rate(request)


def _file(size: int, *, direct: bool) -> Measure:
    def request(site: Site, kind: Kind) -> tuple[Server, Request]:
        headers = {"Ais-Node-Url": site.destination(str(size))} if direct else {}
        path = f"/bench/{size}?{fqn_query(site.object(size))}"
        return site.server(kind, "echo"), Request("PUT", path, size, headers=headers, delivers=direct)

    return _rate(request)


def _pull(size: int) -> Measure:
    def request(site: Site, kind: Kind) -> tuple[Server, Request]:
        site.object(size)
        return site.server(kind, "echo"), Request("GET", f"/{uname('bench', str(size))}", size)

    return _rate(request)


def _pipeline(size: int, stages: int) -> Measure:
    def request(site: Site, kind: Kind) -> tuple[Server, Request]:
        first, *others = (site.server(kind, "echo", copy=copy) for copy in range(stages))
        hops = [f"http://{HOST}:{server.port}" for server in others]
        headers = {"Ais-Node-Url": ",".join([*hops, site.destination(str(size))])}
        path = f"/bench/{size}?{fqn_query(site.object(size))}"
        return first, Request("PUT", path, size, headers=headers, delivers=True)

    return _rate(request)


def _messages(size: int, *, file: bool, direct: bool = False) -> Measure:
    def measure(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
        path = site.object(size)
        data = path.read_bytes()
        control = {"path": f"bench/{size}"}
        if file:
            control["fqn"] = quote(str(path))
        if direct:
            control["pipeline"] = site.destination(str(size))
        delivered = "direct put success" if kind is GO else str(size)
        message = websocket.Message(control, None if file else data, delivered if direct else data)
        return [window(site, site.server(kind, "echo"), message, count, pace) for count in UNDER_WAY]

    def window(site: Site, server: Server, message: websocket.Message, under_way: int, pace: Pace) -> float:
        before = site.delivered()
        rate = websocket.window(server, message, under_way, pace.warm_up, pace.seconds)
        if direct:
            site.require_delivered(before, int(rate * pace.seconds))
        return rate

    return measure


def _stream(*, file: bool, held: bool) -> Measure:
    def measure(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
        server = site.server(UNHELD if kind is INSTORE and not held else kind, "stream")

        def transfer(size: int, *, compare: bool) -> float:
            path = site.object(size)
            query = f"?{fqn_query(path)}" if file else ""
            return stream.seconds_for(server, f"/bench/{size}{query}", None if file else path, size, compare=compare)

        transfer(16 * MIB, compare=True)
        forget_peak(server.worker)
        took = transfer(pace.stream, compare=False)
        peak = memory(server.worker, "VmHWM")
        transfer(16 * MIB, compare=True)
        return pace.stream / took / 1e6, peak

    return measure


def _health(transform: str, query: str = "") -> Measure:
    def measure(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
        server = site.server(kind, transform)
        return (health.percentile_99(server, f"/bench/object{query}", pace.warm_up, pace.seconds),)

    return measure


def _scaling(query: str) -> Measure:
    """How many times the work two workers do of what one does, both with two cores to themselves."""

    def workers(count: int) -> Measure:
        def request(site: Site, kind: Kind) -> tuple[Server, Request]:
            server = site.server(kind, "burn", workers=count, cores=BOTH_CORES)
            return server, Request("PUT", f"/bench/{KIB}{query}", KIB, site.object(KIB))

        return _rate(request)

    def measure(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
        (one,), (two,) = (workers(count)(site, kind, pace) for count in (1, 2))
        return (two / one,)

    return measure


def _offline(site: Site, _kind: Kind, pace: Pace) -> Sequence[float]:
    ours, one, script, synced = offline.objects_per_second(site, pace.files)
    return ours, one, script, synced, script / ours, synced / ours, one / ours


def _beside_boto3(rates: Callable[[Site, int, Sequence[clouds.Way]], list[float]]) -> Measure:
    def measure(site: Site, _kind: Kind, pace: Pace) -> Sequence[float]:
        ours, boto3 = rates(site, pace.objects, (clouds.instore, clouds.boto3))
        return ours, boto3, boto3 / ours

    return measure


def _beside_s5cmd(site: Site, _kind: Kind, pace: Pace) -> Sequence[float]:
    ways = (clouds.instore, clouds.s5cmd)
    to_folder, s5cmd_to_folder = clouds.to_folder(site, pace.objects, ways)
    to_bucket, s5cmd_to_bucket = clouds.to_bucket(site, pace.objects, ways)
    ratios = s5cmd_to_folder / to_folder, s5cmd_to_bucket / to_bucket
    return to_folder, s5cmd_to_folder, ratios[0], to_bucket, s5cmd_to_bucket, ratios[1]


def _batch(site: Site, _kind: Kind, pace: Pace) -> Sequence[float]:
    model = batch.embeddings(site, pace.warm_up, pace.seconds)
    return *model, *batch.echo(site, pace.warm_up, pace.seconds)


def _ray(site: Site, _kind: Kind, pace: Pace) -> Sequence[float]:
    return (ray.times_as_fast(site, pace.files // 25),)


def _node(site: Site, kind: Kind, pace: Pace) -> Sequence[float]:
    alone = node.server_alone(site, site.server(kind, "echo"), pace.files // 2, pace.warm_up, pace.seconds)
    in_job = node.job(site, pace.files // 2)
    return in_job, alone, alone / in_job


def _start_up(site: Site, kind: Kind, _pace: Pace) -> Sequence[float]:
    began = time.perf_counter()
    with site.start(kind, "echo") as server:
        took = time.perf_counter() - began
        check(site, server, Request("PUT", f"/bench/{KIB}", KIB, site.object(KIB)))
        return took * 1000, memory(server.worker, "VmRSS")


def _requests(label: str, sdk: Times, go: Times) -> tuple[Row]:
    return (_row(label, "req/s", sdk, go),)


def _objects(label: str, sdk: Times, go: Times) -> tuple[Row, ...]:
    return tuple(_row(f"{label}, {count} under way", "obj/s", sdk, go) for count in UNDER_WAY)


def _transfer(label: str, sdk: Times | None = None, go: Times | None = None) -> tuple[Row, Row]:
    rate = _row(label, "MB/s", sdk, go) if sdk and go else Row(label, "MB/s")
    return rate, Row(f"{label}: peak memory of the worker", "MiB", higher=False, limit=80, limit_aim=60)


def _row(label: str, unit: str, sdk: Times, go: Times) -> Row:
    return Row(label, unit, least=sdk[0], aim=sdk[1], least_go=go[0], aim_go=go[1])


def _beside(label: str, other: str, limit: float, aim: float) -> tuple[Row, Row, Row]:
    return (
        Row(label, "obj/s"),
        Row(f"the same, {other}", "obj/s"),
        Row("the other's rate against ours", "times", higher=False, limit=limit, limit_aim=aim),
    )


def _probes(label: str) -> tuple[Row]:
    return (Row(label, "ms", higher=False, limit=10, limit_aim=3),)


_SDK = tuple(kind for kind in EVERY if kind is not GO)
_WEBSOCKET = tuple(kind for kind in EVERY if kind.websocket)

CASES = (
    Case("put-1k", _requests("PUT 1 KiB", (5, 7), (1, 1.3)), _body(KIB)),
    Case("put-64k", _requests("PUT 64 KiB", (4, 6), (1.5, 2)), _body(64 * KIB)),
    Case("put-1m", _requests("PUT 1 MiB", (1.3, 2), (1, 1.3)), _body(MIB)),
    Case("file-16k", _requests("file 16 KiB, inline", (6, 8), (1.5, 2)), _file(16 * KIB, direct=False)),
    Case("file-16k-direct", _requests("file 16 KiB, direct put", (10, 15), (1.7, 2.5)), _file(16 * KIB, direct=True)),
    Case("file-1m-direct", _requests("file 1 MiB, direct put", (3, 5), (1, 1.5)), _file(MIB, direct=True)),
    Case("pull-16k", _requests("pull 16 KiB", (10, 15), (1.3, 2)), _pull(16 * KIB)),
    Case(
        "pipeline-16k", _requests("pipeline of three stages, file 16 KiB", (10, 15), (1.3, 2)), _pipeline(16 * KIB, 3)
    ),
    Case("ws-1k", _objects("WebSocket, body 1 KiB", (2.5, 4), (0.8, 1.1)), _messages(KIB, file=False), _WEBSOCKET),
    Case(
        "ws-file-16k", _objects("WebSocket, file 16 KiB", (4, 6), (1.3, 2)), _messages(16 * KIB, file=True), _WEBSOCKET
    ),
    Case(
        "ws-direct-16k",
        _objects("WebSocket, file 16 KiB, direct put", (15, 25), (1.5, 2)),
        _messages(16 * KIB, file=True, direct=True),
        _WEBSOCKET,
    ),
    Case("stream-put", _transfer("streamed PUT", (1, 1.5), (0.7, 1)), _stream(file=False, held=False)),
    Case("stream-put-held", _transfer("streamed PUT, held until whole"), _stream(file=False, held=True), (INSTORE,)),
    Case("stream-file", _transfer("streamed file", (1, 1.3), (0.7, 1)), _stream(file=True, held=False)),
    Case("stream-file-held", _transfer("streamed file, held until whole"), _stream(file=True, held=True), (INSTORE,)),
    Case(
        "health-sleep",
        _probes("/health, 99th percentile, transforms sleep"),
        _health("sleep"),
        _SDK,
        quick=False,
    ),
    Case(
        "health-burn",
        _probes("/health, 99th percentile, transforms burn CPU"),
        _health("burn", "?etl_args=1000000"),
        _SDK,
    ),
    Case(
        "two-workers",
        (Row("CPU-bound transform, two workers against one", "times"),),
        _scaling("?etl_args=50000"),
        (INSTORE, FASTAPI, FLASK),
    ),
    Case(
        "offline",
        (
            Row("instore transform, files of 16 KiB, all cores", "obj/s"),
            Row("the same with one worker", "obj/s"),
            Row("a script with multiprocessing, all cores", "obj/s"),
            Row("the script, and a sync", "obj/s"),
            Row("the script's rate against ours", "times", higher=False, limit=1, limit_aim=0.77),
            Row("the script's with a sync against ours", "times", higher=False),
            Row("one worker's rate against ours", "times", higher=False, limit=1, limit_aim=0.9),
        ),
        _offline,
        (INSTORE,),
    ),
    Case(
        "bucket-folder",
        _beside("instore transform, objects of 16 KiB, bucket to folder", "boto3 with 16 threads", 0.5, 0.33),
        _beside_boto3(clouds.to_folder),
        (INSTORE,),
        quick=False,  # a gateway and a program are built for it
    ),
    Case(
        "bucket-bucket",
        _beside("instore transform, objects of 16 KiB, bucket to bucket", "boto3 with 16 threads", 0.5, 0.33),
        _beside_boto3(clouds.to_bucket),
        (INSTORE,),
        quick=False,  # a gateway and a program are built for it
    ),
    Case(
        "bucket-s5cmd",
        (
            *_beside("instore transform, objects of 16 KiB, bucket to folder", "s5cmd and a script", 1, 0.77),
            *_beside("instore transform, objects of 16 KiB, bucket to bucket", "s5cmd and a script", 1, 0.77),
        ),
        _beside_s5cmd,
        (INSTORE,),
        quick=False,  # a gateway and a program are built for it
    ),
    Case(
        "batch",
        (
            Row("embeddings of a word, in batches of 32", "obj/s"),
            Row("the same, one by one", "obj/s"),
            Row("the same in batches of 32, by LitServe", "obj/s"),
            Row("a text's time in a batch against alone", "times", higher=False, limit=1 / 3, limit_aim=0.25),
            Row("a text's time against LitServe's", "times", higher=False, limit=1, limit_aim=0.8),
            Row("an echo's time in batches of 32 against alone", "times", higher=False, limit=1.1, limit_aim=1),
        ),
        _batch,
        (INSTORE,),
        quick=False,  # LitServe is an environment of its own
    ),
    Case(
        "ray-two-nodes",
        (Row("CPU-bound transform, two Ray nodes of one core each against one", "times"),),
        _ray,
        (INSTORE,),
        quick=False,
    ),
    Case(
        "node-16k",
        (
            Row("job of a node with two targets, files of 16 KiB, direct put", "obj/s"),
            Row("the server alone, the same files from wrk", "obj/s"),
            Row("the job's time against that", "times", higher=False, limit=1.5, limit_aim=1.2),
        ),
        _node,
        (INSTORE,),
        quick=False,  # a few objects are over before a job has its pace
    ),
    Case(
        "start-up",
        (
            Row("start-up until /health answers", "ms", higher=False),
            Row("memory of an idle worker", "MiB", higher=False),
        ),
        _start_up,
        _SDK,
    ),
)
