"""Health, the cluster's map, the node's state: `/v1/health`, `/v1/daemon`, `/v1/reverse/daemon`, `/v1/cluster`."""

import os
import time
from typing import Any

from starlette.requests import Request

from instore.errors import NotSupportedError
from instore.node.api import jobs as job_calls
from instore.node.cluster import Cluster, Target
from instore.node.request import Answer, NodeRequest, as_json, empty
from instore.store.placement import digest
from instore.system.addresses import url_of

PROXY_ID = "p1"
_NODE_HEADER = "Ais-Node-Id"
_STARTED = time.monotonic_ns()


async def health(_call: NodeRequest) -> Answer:
    """The node answers, so it is well."""
    return empty()


async def daemon(request: NodeRequest) -> Answer:
    """What a node says of itself."""
    what = request.query("what")
    if what == "smap":
        return as_json(smap(request.node.cluster, request.request))
    raise NotSupportedError(f"what={what!r} is not supported of a node; there is smap")


async def reverse(request: NodeRequest) -> Answer:
    """What one target says of itself, asked through the proxy."""
    what = request.query("what")
    if request.segments[1:] != ["daemon"] or what != "node_status":
        raise NotSupportedError(f"what={what!r} is not supported of a target; there is node_status")
    target = request.node.cluster.target(request.request.headers.get(_NODE_HEADER, ""))
    return as_json(await request.node.cluster.disk(_status, request.node.cluster, target))


async def cluster(request: NodeRequest) -> Answer:
    """Questions about jobs, and the start and stop of them."""
    if request.method == "PUT":
        return await job_calls.change(request)
    what = request.query("what")
    if what == "smap":
        return as_json(smap(request.node.cluster, request.request))
    return await job_calls.ask(request, what)


def smap(cluster: Cluster, request: Request) -> dict[str, Any]:
    """The cluster's map, with the addresses by which this client reaches the node."""
    proxy = _node(PROXY_ID, "proxy", cluster.proxy_url, request)
    return {
        "tmap": {target.id: _node(target.id, "target", target.url, request) for target in cluster.targets},
        "pmap": {PROXY_ID: proxy},
        "proxy_si": proxy,
        "version": "1",
        "uuid": cluster.folder.uuid,
        "creation_time": str(cluster.folder.created),
    }


def _node(node_id: str, kind: str, url: str, request: Request) -> dict[str, Any]:
    port = url.rpartition(":")[2]
    host = (request.scope.get("server") or ("127.0.0.1", 0))[0]
    net = {
        "node_hostname": host,
        "daemon_port": port,
        "direct_url": url_of(host, port),
    }
    return {
        "daemon_id": node_id,
        "daemon_type": kind,
        "public_net": net,
        "intra_control_net": net,
        "intra_data_net": net,
        "flags": 0,
        "id_digest": digest(node_id),
    }


def _status(cluster: Cluster, target: Target) -> dict[str, Any]:
    disk = os.statvfs(target.store.folder)
    return {
        "node": target.id,
        "status": "online",
        "pid": os.getpid(),
        "uptime_ns": time.monotonic_ns() - _STARTED,
        "buckets": len(cluster.folder.buckets()),
        "capacity": {
            "total": disk.f_blocks * disk.f_frsize,
            "available": disk.f_bavail * disk.f_frsize,
        },
    }
