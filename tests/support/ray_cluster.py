"""A Ray cluster on this machine: nodes of one CPU each, as `ray start` starts them, which can be killed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support import ray_node
from tests.support.environments import RAY

_TRIES = 5
_STORE = 100_000_000  # bytes of a node's object store


class NodeTimeoutError(RuntimeError):
    """A node has not started within the time that Ray gives it."""


class RayNode:
    """One node.

    Args:
        command: starts it.
        environment: of its processes.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, ray_node.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            if line == "ready\n":
                return
            said.append(line)
        text = "".join(said)
        raise (NodeTimeoutError if "timed out" in text else RuntimeError)(f"no node of Ray's has started:\n{text}")

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        for process in ray_node.descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """End it, if it isn't over."""
        self._process.communicate()


class LocalRay:
    """A cluster.

    Attributes:
        address: its own.
        url: that of its server for clients.
    """

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        port, clients = _free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self.url = f"ray://127.0.0.1:{clients}"
        self._environment = {**os.environ, **environment, "RAY_USAGE_STATS_ENABLED": "0"}
        self._head = (f"--port={port}", f"--ray-client-server-port={clients}", f"--temp-dir={folder}")
        self.nodes: list[RayNode] = []

    def add(self, cores: str = "") -> RayNode:
        """Another node, the first of which is the head; pinned to these cores."""
        first = ("--head", "--include-dashboard=false", *self._head)
        options = (f"--address={self.address}",) if self.nodes else first
        common = ("--node-ip-address=127.0.0.1", "--num-cpus=1", f"--object-store-memory={_STORE}")
        pinned = ("taskset", "-c", cores) if cores else ()
        node = _started([*pinned, str(RAY.programs / "ray"), "start", *options, *common], self._environment)
        self.nodes.append(node)
        return node


def _started(command: list[str], environment: Mapping[str, str]) -> RayNode:
    """A node, which Ray gives 30 seconds to start: on a machine that has much to do it gets them again."""
    for _ in range(_TRIES):
        with contextlib.suppress(NodeTimeoutError):
            return RayNode(command, environment)
    return RayNode(command, environment)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def local_ray(environment: Mapping[str, str], nodes: int = 2) -> Iterator[LocalRay]:
    """A cluster of so many nodes, in whose environment these variables are; the environment `RAY` must be there."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short path, for sockets
    cluster = None
    try:
        cluster = LocalRay(folder, environment)
        for _ in range(nodes):
            cluster.add()
        yield cluster
    finally:
        for node in reversed(cluster.nodes if cluster is not None else []):
            node.end()
        shutil.rmtree(folder, ignore_errors=True)
