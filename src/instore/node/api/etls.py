"""ETLs over REST: `/v1/etl`, and the messages to buckets that begin jobs."""

import base64
import os
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from starlette.types import ASGIApp

from instore.errors import NotSupportedError
from instore.etl.pod import LOG_LIMIT
from instore.etl.process import tail, usage
from instore.node.api.buckets import make_if_missing, named_bucket, other_bucket
from instore.node.etls.manager import Etl, Etls
from instore.node.etls.records import INLINE
from instore.node.jobs.offline_etl import Request, TransformJobs
from instore.node.request import Call, as_json, empty, text
from instore.offline.selection import Selection
from instore.protocol.etl_spec import EtlSpec
from instore.store.names import Bucket


class EtlCalls:
    """The handlers.

    Args:
        etls: the node's ETLs.
        jobs: begins their jobs.
    """

    def __init__(self, etls: Etls, jobs: TransformJobs) -> None:
        self._etls = etls
        self._jobs = jobs

    async def resource(self, call: Call) -> ASGIApp:
        """Everything below `/v1/etl`."""
        _, name, verb, target = [*call.segments, "", "", ""][:4]
        handler = self._HANDLERS.get((call.method, bool(name), verb))
        if handler is None:
            raise NotSupportedError(f"{call.method} of {call.request.url.path} is not part of the API of ETLs")
        return await handler(self, call, name, target)

    async def transform_bucket(self, call: Call, bucket: Bucket, value: dict[str, Any]) -> ASGIApp:
        """`etl-bck`."""
        destination = other_bucket(call)
        selection = Selection(prefix=str(value.get("prefix") or ""))
        return await self._begin(call, Request.parse("etl-bck", bucket, destination, selection, value))

    async def transform_objects(self, call: Call, bucket: Bucket, value: dict[str, Any]) -> ASGIApp:
        """`etl-listrange`."""
        destination = named_bucket(value.get("tobck"))
        selection = Selection.parse(value)
        return await self._begin(call, Request.parse("etl-listrange", bucket, destination, selection, value))

    async def _begin(self, call: Call, request: Request) -> ASGIApp:
        await self._etls.running(request.names)
        await make_if_missing(call, request.source, request.destination)
        return text((await self._jobs.start(request)).id)

    async def _init(self, call: Call, _name: str, _target: str) -> ASGIApp:
        return text((await self._etls.init(EtlSpec.parse(await call.json()))).id)

    async def _list(self, _call: Call, _name: str, _target: str) -> ASGIApp:
        return as_json([_info(etl) for etl in self._etls.all()])

    async def _view(self, call: Call, name: str, _target: str) -> ASGIApp:
        etl = self._etls.get(name)
        errors = await call.node.cluster.disk(self._etls.records.errors, name, call.query("uuid") or INLINE)
        return as_json({"init_msg": dict(etl.spec.message), "obj_errors": errors or None, **_stage(etl)})

    async def _start(self, _call: Call, name: str, _target: str) -> ASGIApp:
        await self._etls.start(name)
        return empty()

    async def _stop(self, _call: Call, name: str, _target: str) -> ASGIApp:
        await self._etls.stop(name)
        return empty()

    async def _delete(self, _call: Call, name: str, _target: str) -> ASGIApp:
        await self._etls.delete(name)
        return empty()

    async def _logs(self, call: Call, name: str, target: str) -> ASGIApp:
        self._etls.get(name)
        targets = [call.node.cluster.target(target)] if target else call.node.cluster.targets
        logs = [(one.id, os.path.join(self._etls.records.folder, f"{name}.{one.id}.log")) for one in targets]
        read = [(one, await call.node.cluster.disk(tail, log, LOG_LIMIT)) for one, log in logs]
        return as_json([{"target_id": one, "logs": base64.b64encode(log).decode()} for one, log in read])

    async def _health(self, _call: Call, name: str, _target: str) -> ASGIApp:
        etl = self._etls.get(name)
        if not etl.pods:
            raise etl.aborted()
        healthy = [(target, await pod.is_healthy()) for target, pod in etl.pods.items()]
        return as_json(
            [{"target_id": target, "health_status": "Running" if well else "Failed"} for target, well in healthy]
        )

    async def _metrics(self, call: Call, name: str, _target: str) -> ASGIApp:
        etl = self._etls.get(name)
        if not etl.pods:
            raise etl.aborted()
        used = [(target, await call.node.cluster.disk(usage, pod.pid)) for target, pod in etl.pods.items()]
        return as_json([{"target_id": target, "cpu": one.cores, "mem": one.memory} for target, one in used])

    _HANDLERS: ClassVar[dict[tuple[str, bool, str], Callable[["EtlCalls", Call, str, str], Awaitable[ASGIApp]]]] = {
        # (method, is an ETL named, what is asked of it)
        ("PUT", False, ""): _init,
        ("GET", False, ""): _list,
        ("GET", True, ""): _view,
        ("DELETE", True, ""): _delete,
        ("POST", True, "start"): _start,
        ("POST", True, "stop"): _stop,
        ("GET", True, "logs"): _logs,
        ("GET", True, "health"): _health,
        ("GET", True, "metrics"): _metrics,
    }


def _info(etl: Etl) -> dict[str, Any]:
    return {
        "id": etl.name,
        "xaction_id": etl.id,
        "obj_count": etl.tally.objects,
        "in_bytes": etl.tally.in_bytes,
        "out_bytes": etl.tally.out_bytes,
        **_stage(etl),
    }


def _stage(etl: Etl) -> dict[str, Any]:
    return {"stage": etl.stage.value, **({"reason": etl.reason} if etl.reason else {})}
