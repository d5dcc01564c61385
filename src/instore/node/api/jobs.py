"""Jobs over REST: their status, snapshots, start and stop, as `/v1/cluster` has them."""

from datetime import UTC, datetime
from typing import Any

from instore.errors import InvalidRequestError, NotSupportedError
from instore.node.jobs.registry import Job
from instore.node.request import Answer, NodeRequest, as_json, empty

_NEVER = "0001-01-01T00:00:00Z"


async def ask(request: NodeRequest, what: str) -> Answer:
    """Answer a question about jobs."""
    jobs = request.node.jobs
    message = await request.json()
    if what == "status":
        return as_json(_status(jobs.get(_text(message, "ID", "id", "uuid"))))
    if what == "qryxstats":
        running = True if message.get("show_active") or message.get("OnlyRunning") else None
        found = jobs.find(_text(message, "ID", "id"), _text(message, "Kind", "kind"), running)
        only = _text(message, "DaemonID", "node")
        targets = [target.id for target in request.node.cluster.targets if not only or target.id == only]
        return as_json({target: [_snapshot(job, target) for job in found] for target in targets})
    if what == "status_all":
        running = True if message.get("show_active") else None
        return as_json([_status(job) for job in jobs.find(kind=_text(message, "kind", "Kind"), running=running)])
    if what == "running_all":
        running_jobs = jobs.find(kind=_text(message, "kind", "Kind"), running=True)
        return as_json([f"{job.kind}[{job.id}]" for job in running_jobs])
    raise NotSupportedError(
        f"what={what!r} is not supported of the cluster; there are smap, status, qryxstats, status_all and running_all"
    )


async def change(request: NodeRequest) -> Answer:
    """Start or stop jobs."""
    action, value = await request.action()
    if action == "stop":
        job_id, kind = _text(value, "ID", "id"), _text(value, "Kind", "kind")
        if not job_id and not kind:
            raise InvalidRequestError("name the job to stop by its id or its kind")
        for job in [request.node.jobs.get(job_id)] if job_id else request.node.jobs.find(kind=kind, running=True):
            request.node.jobs.stop(job)
        return empty()
    if action == "start":
        raise NotSupportedError(
            f"jobs of kind {_text(value, 'Kind', 'kind')!r} can't be started by themselves: a single node has nothing "
            "to rebalance, to mirror or to evict; copies, transforms and deletions begin with their own requests"
        )
    raise NotSupportedError(f"the action {action!r} on the cluster is not supported; there are start and stop")


def _text(message: dict[str, Any], *keys: str) -> str:
    for key in keys:
        if message.get(key):
            return str(message[key])
    return ""


def _status(job: Job) -> dict[str, Any]:
    return {"uuid": job.id, "kind": job.kind, "err": job.error, "end_time": job.ended, "aborted": job.aborted}


def _snapshot(job: Job, target: str) -> dict[str, Any]:
    counts = job.counts()[target]
    stats = {key: getattr(counts, name) for key, name in _STATISTICS}
    snapshot = {
        "id": job.id,
        "kind": job.kind,
        "start-time": _time(job.started),
        "end-time": _time(job.ended) if job.ended else _NEVER,
        "stats": stats,
        "aborted": job.aborted,
        "abort-err": job.error,
        "is_idle": not job.running,
        "glob.id": str(job.workers << 10),
    }
    if job.source:
        snapshot["bck"] = snapshot["src-bck"] = job.source.message
    if job.destination:
        snapshot["dst-bck"] = job.destination.message
    return snapshot


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
