"""Jobs over REST: their status, snapshots, start and stop, as `/v1/cluster` has them."""

from datetime import UTC, datetime
from typing import Any

from instore.errors import InvalidRequestError, JobNotFoundError, NotSupportedError
from instore.node.cluster import Cluster
from instore.node.jobs.registry import KINDS, Job, Work
from instore.node.request import Answer, NodeRequest, as_json, empty, text
from instore.store.names import NO_BUCKET, Bucket

_NEVER = "0001-01-01T00:00:00Z"
UPKEEP = ("cleanup-store", "lru", "rebalance", "resilver")
"""Jobs that keep a cluster in order. On one machine without copies only the first has anything to do."""

_HELD = 1.0  # seconds for which a question about a running job is held back, lest a client sleep over its end


async def ask(request: NodeRequest, what: str) -> Answer:
    """Answer a question about jobs."""
    answer = _QUESTIONS.get(what)
    if answer is None:
        raise NotSupportedError(
            f"what={what!r} is not supported of the cluster; of jobs there are {', '.join(sorted(_QUESTIONS))}"
        )
    return as_json(await answer(request, await request.json()))


async def _one(request: NodeRequest, message: dict[str, Any]) -> Any:
    """One job's status, and where only its kind is known that of the newest, a running one before all others."""
    jobs = request.node.jobs
    if job_id := _text(message, "ID", "id", "uuid"):
        job = jobs.get(job_id)
    else:
        found = _found(request, message)
        if not found:
            raise JobNotFoundError(f"there is no job of kind {_text(message, 'Kind', 'kind')!r}")
        job = max(found, key=lambda one: (one.running, one.started))
    await jobs.settled(job, _HELD)
    return _status(job)


async def _all(request: NodeRequest, message: dict[str, Any]) -> Any:
    return [_status(job) for job in _found(request, message)]


async def _running(request: NodeRequest, message: dict[str, Any]) -> Any:
    return [f"{job.kind}[{job.id}]" for job in _found(request, {**message, "show_active": True})]


async def _snapshots(request: NodeRequest, message: dict[str, Any]) -> Any:
    """Snapshots by target. Where one job is named, its end is waited for a little: who asks again waits for longer."""
    if _text(message, "ID", "id"):
        for job in _found(request, message):
            await request.node.jobs.settled(job, _HELD)
    only = _text(message, "DaemonID", "node")
    targets = [request.node.cluster.target(only)] if only else request.node.cluster.targets
    active = _active(message)
    found = _found(request, message)
    return {target.id: [_snapshot(job, target.id, active) for job in found] for target in targets}


_QUESTIONS = {
    "status": _one,
    "status_all": _all,
    "running_all": _running,
    "qryxstats": _snapshots,
}


def _active(message: dict[str, Any]) -> bool:
    return bool(message.get("show_active") or message.get("OnlyRunning"))


def _found(request: NodeRequest, message: dict[str, Any]) -> list[Job]:
    """The jobs that a message is about."""
    found = request.node.jobs.find(_text(message, "ID", "id"), _text(message, "Kind", "kind"))
    bucket = message.get("bck")
    if isinstance(bucket, dict) and bucket.get("name"):
        wanted = Bucket.described(bucket)
        found = [job for job in found if wanted in (job.source, job.destination)]
    return [job for job in found if job.active] if _active(message) else found


async def change(request: NodeRequest) -> Answer:
    """Start or stop jobs."""
    action, value = await request.action()
    if action == "stop":
        job_id, kind = _text(value, "ID", "id"), _text(value, "Kind", "kind")
        if not job_id and not kind:
            raise InvalidRequestError("name the job to stop by its id or its kind")
        jobs = request.node.jobs
        active = [job for job in jobs.find(kind=kind) if job.active]
        for job in [jobs.get(job_id)] if job_id else active:
            jobs.stop(job)
        return empty()
    if action == "start":
        named = _text(value, "Kind", "kind")
        kind = KINDS.get(named, named)
        if kind not in UPKEEP:
            raise NotSupportedError(
                f"jobs of kind {kind!r} can't be started by themselves; there are {', '.join(UPKEEP)}; copies, "
                "transforms and deletions begin with their own requests"
            )
        return text(request.node.jobs.start(kind, _upkeep(request.node.cluster, kind)).id)
    if action == "reset-stats":
        request.node.cluster.statistics.reset()
        return empty()
    what = action or "/".join(request.segments[1:])
    raise NotSupportedError(
        f"{what!r} of the cluster is not supported: it is one process, which the options of instore node configure"
    )


def _upkeep(cluster: Cluster, kind: str) -> Work:
    async def work(_job: Job) -> None:
        if kind == "cleanup-store":
            cluster.empty_trash()

    return work


def _text(message: dict[str, Any], *keys: str) -> str:
    for key in keys:
        if message.get(key):
            return str(message[key])
    return ""


def _status(job: Job) -> dict[str, Any]:
    return {"kind": job.kind, "uuid": job.id, "err": job.error, "end_time": job.ended, "aborted": job.aborted}


def _snapshot(job: Job, target: str, active: bool) -> dict[str, Any]:
    """A job on one target; to who asks for active jobs, one that idles has not ended."""
    counts = job.counts()[target]
    return {
        "id": job.id,
        "kind": job.kind,
        "ctlmsg": _about(job),
        "start-time": _time(job.started),
        "end-time": _time(job.ended) if job.ended and not active else _NEVER,
        "bck": _named(job.destination or job.source),
        "src-bck": _named(job.source),
        "dst-bck": _named(job.destination),
        "stats": {key: str(getattr(counts, name)) for key, name in _STATISTICS},
        "aborted": job.aborted,
        "abort-err": job.error if job.aborted else "",
        "err": job.error,
        "is_idle": not job.running,
        "glob.id": str(job.workers << 10),
        "ext": None,
    }


def _named(bucket: Bucket | None) -> dict[str, Any]:
    return bucket.message if bucket else NO_BUCKET


def _about(job: Job) -> str:
    if job.destination is None:
        return str(job.source or "")
    return f"{job.source} => {job.destination}"


_STATISTICS = (
    ("loc-objs", "objects"),
    ("loc-bytes", "bytes"),
    ("out-objs", "out_objects"),
    ("out-bytes", "out_bytes"),
    ("in-objs", "in_objects"),
    ("in-bytes", "in_bytes"),
)


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
