"""ETLs over REST: `/v1/etl`, and the messages to buckets that begin jobs."""

import base64
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from instore.errors import ETLNotFoundError, InvalidRequestError, NotSupportedError
from instore.etl.pod import LOG_LIMIT
from instore.etl.process import tail, usage
from instore.node.api.buckets import check_message, make_if_missing, other_bucket, selection
from instore.node.etls.manager import ETL, ETLManager
from instore.node.etls.records import INLINE
from instore.node.jobs.offline_etl import ETLJobSpec, TransformJobs
from instore.node.request import Answer, NodeRequest, as_json, empty, text
from instore.offline.selection import Selection
from instore.protocol.environment import ETL_CLASS_PAYLOAD
from instore.protocol.etl_spec import ETLSpec, Stage
from instore.protocol.etl_spec_fields import name_fault
from instore.store.names import Bucket


class ETLHandlers:
    """The handlers."""

    def __init__(self, etls: ETLManager, jobs: TransformJobs) -> None:
        self._etls = etls
        self._jobs = jobs

    async def resource(self, request: NodeRequest) -> Answer:
        """Everything below `/v1/etl`."""
        _, name, verb, target = [*request.segments, "", "", ""][:4]
        handler = self._HANDLERS.get((request.method, bool(name), verb))
        if handler is None:
            raise NotSupportedError(f"{request.method} of {request.request.url.path} is not part of the API of ETLs")
        return await handler(self, request, name, target)

    async def transform_bucket(self, request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
        """`etl-bck`."""
        check_message("etl-bck", value)
        destination = other_bucket(request)
        chosen = Selection.below(value)
        return await self._begin(request, ETLJobSpec.parse("etl-bck", bucket, destination, chosen, value))

    async def transform_objects(self, request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
        """`etl-listrange`."""
        check_message("etl-listrange", value)
        destination = Bucket.described(value.get("tobck"))
        chosen = selection(request, value)
        return await self._begin(request, ETLJobSpec.parse("etl-listrange", bucket, destination, chosen, value))

    async def _begin(self, request: NodeRequest, spec: ETLJobSpec) -> Answer:
        await self._etls.running(spec.names)
        await make_if_missing(request, spec.source, spec.destination)
        return text((await self._jobs.start(spec)).id)

    async def _init(self, request: NodeRequest, _name: str, _target: str) -> Answer:
        return text((await self._etls.init(ETLSpec.parse(await request.json()))).id)

    async def _list(self, _call: NodeRequest, _name: str, _target: str) -> Answer:
        return as_json([_info(etl) for etl in self._etls.all()])

    async def _view(self, request: NodeRequest, name: str, _target: str) -> Answer:
        if fault := name_fault(name):
            raise InvalidRequestError(fault)
        etl = self._present(request, name)
        errors = await request.node.cluster.disk(self._etls.records.errors, name, request.query("uuid") or INLINE)
        told = {"obj_errors": errors} if errors else {}
        stage = {} if request.node.cluster.strict else _stage(etl)
        return as_json({"init_msg": _shown(etl.spec.message), **told, **stage})

    async def _start(self, _call: NodeRequest, name: str, _target: str) -> Answer:
        await self._etls.start(name)
        return empty()

    async def _stop(self, _call: NodeRequest, name: str, _target: str) -> Answer:
        await self._etls.stop(name)
        return empty()

    async def _delete(self, _call: NodeRequest, name: str, _target: str) -> Answer:
        await self._etls.delete(name)
        return empty()

    async def _logs(self, request: NodeRequest, name: str, target: str) -> Answer:
        self._present(request, name)
        targets = [request.node.cluster.target(target)] if target else request.node.cluster.targets
        logs = [(one.id, os.path.join(self._etls.records.folder, f"{name}.{one.id}.log")) for one in targets]
        read = [(one, await request.node.cluster.disk(tail, log, LOG_LIMIT)) for one, log in logs]
        return as_json([{"target_id": one, "logs": base64.b64encode(log).decode()} for one, log in read])

    def _present(self, request: NodeRequest, name: str) -> ETL:
        """An ETL that may be looked at. In AIStore that is none that was stopped, whose reason is what one wants."""
        etl = self._etls.get(name)
        if request.node.cluster.strict and etl.stage is Stage.ABORTED:
            raise ETLNotFoundError(f"etl job {name!r} does not exist")
        return etl

    async def _arguments(self, request: NodeRequest, name: str, _target: str) -> Answer:
        """For the page's forms; AIStore has no such question."""
        if request.node.cluster.strict:
            raise NotSupportedError(f"{request.request.url.path} is not part of AIStore's API")
        etl = self._etls.get(name)
        pod = next(iter(etl.pods.values()), None)
        if pod is None:
            raise etl.aborted()
        return as_json(await pod.arguments())

    async def _health(self, _call: NodeRequest, name: str, _target: str) -> Answer:
        etl = self._etls.get(name)
        if not etl.pods:
            raise etl.aborted()
        healthy = [(target, await pod.is_healthy()) for target, pod in etl.pods.items()]
        return as_json(
            [{"target_id": target, "health_status": "Running" if well else "Failed"} for target, well in healthy]
        )

    async def _metrics(self, request: NodeRequest, name: str, _target: str) -> Answer:
        etl = self._etls.get(name)
        if not etl.pods:
            raise etl.aborted()
        used = [(target, await request.node.cluster.disk(usage, pod.pid)) for target, pod in etl.pods.items()]
        return as_json([{"target_id": target, "cpu": one.cores, "mem": one.memory} for target, one in used])

    _HANDLERS: ClassVar[
        dict[tuple[str, bool, str], Callable[["ETLHandlers", NodeRequest, str, str], Awaitable[Answer]]]
    ] = {
        # (method, is an ETL named, what is asked of it)
        ("PUT", False, ""): _init,
        ("GET", False, ""): _list,
        ("GET", True, ""): _view,
        ("DELETE", True, ""): _delete,
        ("POST", True, "start"): _start,
        ("POST", True, "stop"): _stop,
        ("GET", True, "logs"): _logs,
        ("GET", True, "arguments"): _arguments,
        ("GET", True, "health"): _health,
        ("GET", True, "metrics"): _metrics,
    }


def _info(etl: ETL) -> dict[str, Any]:
    return {
        "id": etl.name,
        "xaction_id": etl.id,
        "obj_count": etl.counters.objects,
        "in_bytes": etl.counters.in_bytes,
        "out_bytes": etl.counters.out_bytes,
        **_stage(etl),
    }


def _stage(etl: ETL) -> dict[str, Any]:
    return {"stage": etl.stage.value, **({"reason": etl.reason} if etl.reason else {})}


_SECRET = re.compile(r"key|token|secret|passw|credential|auth|private|cookie|signature", re.IGNORECASE)
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """An ETL's message for whoever asks: without the values of variables that look like secrets."""
    runtime = dict(message.get("runtime") or {})
    if runtime.get("env"):
        runtime["env"] = [_without_secret(dict(variable)) for variable in runtime["env"]]
    return {**message, **({"runtime": runtime} if "runtime" in message else {})}


def _without_secret(variable: dict[str, Any]) -> dict[str, Any]:
    value = str(variable.get("value") or "")
    if value and variable.get("name") != ETL_CLASS_PAYLOAD:
        shown = "[redacted]" if _SECRET.search(str(variable.get("name"))) else _USER_OF_URL.sub("[redacted]", value)
        variable["value"] = shown
    return variable
