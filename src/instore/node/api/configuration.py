"""What AIStore's clients read of a configuration: that of the cluster, of a node, of a bucket.

Here is what holds on this node. What there is nothing to set for (caches, mirrors, streams between machines) is off, or
an empty section: AIStore's command line crashes where one is missing.
"""

from typing import Any

from instore.node.cluster import Cluster
from instore.node.metadata import BucketRecord
from instore.store.attributes import CHECKSUM_TYPE
from instore.store.names import NO_BUCKET, Bucket

_CHECKSUM = {
    "type": CHECKSUM_TYPE,
    "validate_cold_get": False,
    "validate_warm_get": False,
    "validate_obj_move": False,
    "enable_read_range": False,
}
_VERSIONING = {"enabled": True, "validate_warm_get": False, "synchronize": False}
_MIRROR = {"enabled": False, "copies": 1, "burst_buffer": 0}
_ERASURE_CODING = {"enabled": False, "data_slices": 1, "parity_slices": 1, "objsize_limit": 0, "disk_only": False}
_EVICTION = {"enabled": False, "dont_evict_time": "0s", "capacity_upd_time": "0s"}
_WRITE_POLICY = {"data": "immediate", "md": "immediate"}
_CHUNKS = {"objsize_limit": "0B", "max_monolithic_size": "0B", "chunk_size": "0B"}
_EMPTY = (
    "tcb",
    "tco",
    "arch",
    "lso",
    "get_batch",
    "keepalivetracker",
    "transport",
    "disk",
    "fshc",
    "periodic",
    "client",
    "downloader",
    "timeout",
    "memsys",
    "backend",
    "distributed_sort",
)
_ALL_ACCESS = str((1 << 64) - 1)


def of_cluster(cluster: Cluster) -> dict[str, Any]:
    """The cluster's."""
    return {
        "uuid": cluster.folder.uuid,
        "config_version": "1",
        "lastupdate_time": "",
        "features": "0",
        "proxy": {"primary_url": cluster.proxy_url, "original_url": cluster.proxy_url, "discovery_url": ""},
        "auth": {"client_auth_required": bool(cluster.token)},
        "net": {"l4": {"proto": "tcp"}, "http": {"use_https": False, "chunked_transfer": True}, "use_ipv6": False},
        "log": {"level": "3", "to_stderr": True},
        "checksum": _CHECKSUM,
        "versioning": _VERSIONING,
        "write_policy": _WRITE_POLICY,
        "chunks": _CHUNKS,
        "mirror": _MIRROR,
        "ec": _ERASURE_CODING,
        "lru": _EVICTION,
        "rebalance": {"enabled": False, "dest_retry_time": "0s"},
        "resilver": {"enabled": False},
        "space": {"cleanupwm": 100, "lowwm": 100, "highwm": 100, "out_of_space": 100},  # nothing is done before
        "rate_limit": {"backend": {}, "frontend": {}},
        **{section: {} for section in _EMPTY},
    }


def of_node(cluster: Cluster, folder: str, url: str) -> dict[str, Any]:
    """A node's: the cluster's, and its own."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    local = {
        "confdir": cluster.folder.path,
        "log_dir": "",
        "fspaths": {folder: ""} if folder else {},
        "test_fspaths": {"root": "", "count": 0, "instance": 0},
        "host_net": {
            "hostname": host,
            "hostname_intra_control": host,
            "hostname_intra_data": host,
            "port": port,
            "port_intra_control": port,
            "port_intra_data": port,
        },
    }
    return {**of_cluster(cluster), **local}


def of_bucket(bucket: Bucket, record: BucketRecord) -> dict[str, Any]:
    """A bucket's properties."""
    return {
        **bucket.message,
        "created": str(record.created),
        "bid": str(record.created),
        "access": _ALL_ACCESS,
        "features": "0",
        "backend_bck": NO_BUCKET,
        "versioning": _VERSIONING,
        "checksum": _CHECKSUM,
        "write_policy": _WRITE_POLICY,
        "chunks": _CHUNKS,
        "mirror": _MIRROR,
        "ec": _ERASURE_CODING,
        "lru": _EVICTION,
    }
