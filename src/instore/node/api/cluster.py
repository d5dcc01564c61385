"""Health, the cluster's map, and what its nodes say of themselves.

`/v1/health`, `/v1/cluster`, `/v1/daemon` (the node that is asked), `/v1/reverse/daemon` (the one that a header names).
"""

import io
import logging
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from instore.errors import InvalidRequestError, NotSupportedError
from instore.node.api import configuration
from instore.node.api import jobs as job_calls
from instore.node.cluster import Cluster, Target
from instore.node.request import Answer, NodeRequest, as_json, empty, text
from instore.node.statistics import KINDS
from instore.store.placement import digest
from instore.system.addresses import url_of
from instore.system.machine import FileSystem, Memory, OwnUsage, load, processors

PROXY_ID = "p1"
AISTORE = "5.0"
"""The version of AIStore whose API this is."""

_SEVERITIES = {"e": logging.ERROR, "w": logging.WARNING}
_NODE_HEADER = "Ais-Node-Id"
_STARTED = time.monotonic_ns()
_KNOWS_JOBS = 1 << 1  # AIStore's flags: of a proxy that knows of all jobs
_STARTED_UP = 1 << 1 | 1 << 2  # of a cluster, and a node in it, that have started
_VERSION = "1"  # of the map, of buckets and so on: nobody waits for the next one here
_ABSENT = {
    "tls_certificate": "the node has no TLS",
    "smapvote": "a single proxy holds no elections",
}


@dataclass(frozen=True, slots=True)
class _ClusterNode:
    """One node, and the host by which the client has reached it.

    Attributes:
        cluster: all of them.
        target: which; None: the proxy.
        host: as in the client's URL.
    """

    cluster: Cluster
    target: Target | None
    host: str

    @property
    def id(self) -> str:
        return self.target.id if self.target else PROXY_ID

    @property
    def url(self) -> str:
        """By which the client reaches it."""
        return url_of(self.host, (self.target.url if self.target else self.cluster.proxy_url).rpartition(":")[2])

    @property
    def folder(self) -> str:
        """Where its objects are; empty for the proxy."""
        return self.target.store.folder if self.target else ""


async def health(_call: NodeRequest) -> Answer:
    """The node answers, so it is well."""
    up = str(time.monotonic_ns() - _STARTED)
    return empty(headers={"Ais-Cluster-Uptime": up, "Ais-Node-Uptime": up})


async def daemon(request: NodeRequest) -> Answer:
    """What the node that is asked says of itself."""
    cluster, port = request.node.cluster, _reached(request)[1]
    target = next((one for one in cluster.targets if one.url.endswith(f":{port}")), None)
    return await _say(request, _ClusterNode(cluster, target, _host(request)))


async def reverse(request: NodeRequest) -> Answer:
    """What one node says of itself, asked through the proxy."""
    if request.segments[1:] != ["daemon"] or request.method != "GET":
        raise NotSupportedError(
            f"{request.method} of {request.request.url.path} is not supported: a node has one folder for each target, "
            "which can't be changed while it runs"
        )
    cluster, named = request.node.cluster, request.request.headers.get(_NODE_HEADER, "")
    return await _say(
        request, _ClusterNode(cluster, None if named == PROXY_ID else cluster.target(named), _host(request))
    )


async def cluster(request: NodeRequest) -> Answer:
    """Questions about the cluster and its jobs, and the start and stop of these."""
    if request.method == "PUT":
        return await job_calls.change(request)
    what = request.query("what")
    say = _OF_CLUSTER.get(what)
    if say is None:
        return await job_calls.ask(request, what)
    said = await request.node.cluster.disk(say, request.node.cluster, _host(request))
    return text(said) if isinstance(said, str) else as_json(said)


async def downloads(request: NodeRequest) -> Answer:
    """The list of downloads, of which there are none."""
    if request.method == "GET" and not (await request.json()).get("id"):
        return as_json([])
    raise NotSupportedError("downloads into a bucket are not supported; put the objects")


async def sorts(request: NodeRequest) -> Answer:
    """The list of dsort's jobs, of which there are none."""
    if request.method == "GET" and not (request.query("uuid") or request.query("id")):
        return as_json([])
    raise NotSupportedError("dsort is not supported")


async def _say(request: NodeRequest, node: _ClusterNode) -> Answer:
    what = request.query("what")
    if what == "software_version":
        return text(AISTORE)
    if what == "log":
        return _log(request)
    say = _OF_NODE.get(what)
    if say is None:
        there_is = ", ".join(sorted(_OF_NODE))
        raise NotSupportedError(_ABSENT.get(what) or f"what={what!r} is not supported of a node; there are {there_is}")
    return as_json(await request.node.cluster.disk(say, node))


def _log(request: NodeRequest) -> Answer:
    """What the node has logged lately; all its targets log as one."""
    severity = request.query("severity").lower()
    lines = request.node.log.text(_SEVERITIES.get(severity[:1], logging.DEBUG)).encode(errors="replace")
    if not request.flag("all"):
        return Response(lines, media_type="text/plain")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("instore.log")
        entry.size, entry.mtime = len(lines), int(time.time())
        tar.addfile(entry, io.BytesIO(lines))
    return Response(archive.getvalue(), media_type="application/gzip")


def _host(request: NodeRequest) -> str:
    return _reached(request)[0]


def _reached(request: NodeRequest) -> tuple[str, int]:
    """Host and port by which the client has reached the node."""
    for url in (f"//{request.request.headers.get('host', '')}", request.node.cluster.proxy_url):
        try:
            parts = urlsplit(url)
            if parts.hostname:
                return parts.hostname, parts.port or 0
        except ValueError:  # a port that is none
            continue
    raise InvalidRequestError("the request names no host")


# The map


def smap(cluster: Cluster, host: str) -> dict[str, Any]:
    """The cluster's map, with the addresses by which this client reaches the node."""
    proxy = _described(_ClusterNode(cluster, None, host)) | {"flags": _KNOWS_JOBS}
    return {
        "tmap": {target.id: _described(_ClusterNode(cluster, target, host)) for target in cluster.targets},
        "pmap": {PROXY_ID: proxy},
        "proxy_si": proxy,
        "version": _VERSION,
        "uuid": cluster.folder.uuid,
        "creation_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(cluster.folder.created / 1e9)),
    }


def _described(node: _ClusterNode) -> dict[str, Any]:
    net = {
        "node_hostname": node.host,
        "node_ip_addr": node.host,
        "daemon_port": node.url.rpartition(":")[2],
        "direct_url": node.url,
    }
    return {
        "daemon_id": node.id,
        "daemon_type": "target" if node.target else "proxy",
        "public_net": net,
        "intra_control_net": net,
        "intra_data_net": net,
        "flags": 0,
        "id_digest": digest(node.id),
    }


# A node


def _status(node: _ClusterNode) -> dict[str, Any]:
    own = {"uuid": node.cluster.folder.uuid, "version": _VERSION}
    primary = {"pub_url": node.cluster.proxy_url, "control_url": node.cluster.proxy_url, "id": PROXY_ID}
    return {
        "status": "",  # nothing but well; AIStore writes it so
        "deployment": "instore",
        "ais_version": AISTORE,
        "build_time": "",
        "k8s_pod_name": "",
        **_statistics(node),
        "cluster": {
            "smap": {"Primary": primary, **own},
            "bmd": own,
            "rmd": {"version": "0"},
            "config": own,
            "etlmd": own,
            "flags": _STARTED_UP,
        },
        "sys_info": _system(node),
        "smap_version": _VERSION,
    }


def _statistics(node: _ClusterNode) -> dict[str, Any]:
    counted = node.cluster.statistics.of(node.id) if node.target else {}
    tracker = {"state.flags": _STARTED_UP, "up.ns.time": time.monotonic_ns() - _STARTED, **counted}
    return {"snode": _described(node), "tracker": tracker, "capacity": _capacity(node)}


def _capacity(node: _ClusterNode) -> dict[str, Any]:
    if node.target is None:
        return {"mountpaths": None, "cs_err": "", "total_used": "0", "total_avail": "0"}
    disk = FileSystem.of(node.folder)
    space = {
        "mountpath_label": "",
        "fs": {"Fs": disk.device, "FsType": disk.kind, "FsID": f"{disk.id},0"},
        "disks": [disk.device.rpartition("/")[2]],
        "used": str(disk.used),
        "avail": str(disk.available),
        "pct_used": disk.percent,
    }
    return {
        "mountpaths": {node.folder: space},
        "cs_err": "",
        "total_used": str(disk.used),
        "total_avail": str(disk.available),
        "pct_max": disk.percent,
        "pct_avg": disk.percent,
        "pct_min": disk.percent,
    }


def _system(node: _ClusterNode) -> dict[str, Any]:
    memory, process, up = Memory.read(), OwnUsage.read(), time.monotonic_ns() - _STARTED
    busy = (process.user + process.system) * 1e6 / up / processors() * 100
    loads = load()
    return {
        "mem_used": process.resident,
        "mem_avail": memory.available,
        "pct_mem_used": process.resident * 100 / memory.total,
        "pct_cpu_used": busy,
        "cpu_util": round(min(100.0, loads[0] * 100 / processors())),
        "load_avg": dict(zip(("One", "Five", "Fifteen"), loads, strict=True)),
        "mem": {
            "Total": memory.total,
            "Used": memory.total - memory.free,
            "Free": memory.free,
            "BuffCache": memory.cached,
            "ActualFree": memory.available,
            "ActualUsed": memory.total - memory.available,
            "SwapTotal": memory.swap,
            "SwapFree": memory.swap_free,
            "SwapUsed": memory.swap - memory.swap_free,
        },
        "proc": {
            "CPU": {
                "User": process.user,
                "System": process.system,
                "Total": process.user + process.system,
                "Percent": busy,
            },
            "Mem": {"Size": process.size, "Resident": process.resident, "Share": process.shared},
        },
        **(_filled(node) if node.target else {}),
    }


def _filled(node: _ClusterNode) -> dict[str, Any]:
    disk = FileSystem.of(node.folder)
    return {"fs_used": str(disk.used), "fs_capacity": str(disk.total), "pct_fs_used": disk.percent}


def _buckets(cluster: Cluster) -> dict[str, Any]:
    spaces: dict[str, dict[str, Any]] = {"@#": {}}
    for bucket in cluster.folder.buckets():
        properties = configuration.of_bucket(bucket, cluster.folder.bucket(bucket))
        spaces.setdefault(f"@#{bucket.namespace}", {})[bucket.name] = properties
    return {"providers": {"ais": spaces}, "uuid": cluster.folder.uuid, "version": _VERSION}


_OF_NODE: dict[str, Callable[[_ClusterNode], Any]] = {
    "smap": lambda node: smap(node.cluster, node.host),
    "bmd": lambda node: _buckets(node.cluster),
    "snode": _described,
    "node_status": _status,
    "node_stats": _statistics,
    "sysinfo": _system,
    "disk": lambda node: {"AllDiskStats": {}, **_capacity(node)},
    "metrics": lambda _node: KINDS,
    "mountpaths": lambda node: {"available": [node.folder], "waiting_dd": [], "disabled": []},
    "config": lambda node: configuration.of_node(node.cluster, node.folder, node.url),
    "cluster_config": lambda node: configuration.of_cluster(node.cluster),
}


def _of_all(cluster: Cluster, host: str, say: Callable[[_ClusterNode], Any]) -> dict[str, Any]:
    targets = {target.id: say(_ClusterNode(cluster, target, host)) for target in cluster.targets}
    return {"proxy": say(_ClusterNode(cluster, None, host)), "target": targets}


_OF_CLUSTER: dict[str, Callable[[Cluster, str], Any]] = {
    "smap": smap,
    "bmd": lambda cluster, _host: _buckets(cluster),
    "cluster_config": lambda cluster, _host: configuration.of_cluster(cluster),
    "sysinfo": lambda cluster, host: _of_all(cluster, host, _system),
    "node_stats": lambda cluster, host: _of_all(cluster, host, _statistics),
    "target_ips": lambda cluster, host: ",".join(host for _ in cluster.targets),
    "backends": lambda _cluster, _host: [],
    "remote": lambda _cluster, _host: {"a": None, "ver": 0},
}
