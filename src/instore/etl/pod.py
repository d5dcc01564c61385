"""An ETL's pod: its server beside one target, a process group on a loopback port, from its start to its death."""

import asyncio
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from instore.errors import ConfigurationError
from instore.etl.communicator import Communicator
from instore.etl.health import end_of_log, why_not_ready
from instore.etl.http_communicator import HTTPCommunicator
from instore.etl.images import LOOPBACK, Images
from instore.etl.process import Process, ServerProcess
from instore.etl.websocket_communicator import WebSocketCommunicator
from instore.protocol.environment import (
    AIS_AUTHN_TOKEN,
    AIS_ENDPOINT,
    AIS_TARGET_URL,
    DIRECT_PUT,
    INSTORE_PARENT_FD,
    INSTORE_PORT,
    INSTORE_TRANSFORM_TIMEOUT,
    PORT,
)
from instore.protocol.etl_spec import Communication, ETLSpec
from instore.protocol.headers import CONCURRENCY
from instore.system.addresses import url_of

LOG_LIMIT = 16 << 20
"""Bytes of a log that are kept."""

_POLL = 0.05
_HEALTH_TIMEOUT = 10.0
_MARGIN = 2.0
_GRACE = 5.0  # seconds for a server to end by itself
_PRIVATE = (AIS_AUTHN_TOKEN, AIS_ENDPOINT, INSTORE_PARENT_FD)  # ours, and no transform's
_INHERITED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TMPDIR|TEMP|TMP|VIRTUAL_ENV|TERM"
    "|(?:LC|XDG|PYTHON|PIP|UV|INSTORE|SSL_CERT|CUDA|NVIDIA|OMP|OPENBLAS|MKL|NUMEXPR|TORCH|HF_HOME|LD|DYLD)_?.*"
    "|(?:https?|no|all)_proxy|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE",
    re.IGNORECASE,
)
"""What a server finds of the node's environment, which may hold anyone's keys; the rest its spec has to name."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a pod is.

    Attributes:
        target: id of the target.
        target_url: what its server finds in `AIS_TARGET_URL`.
        folder: of its log.
        packages: folder of the environment with an ETL's packages.
        parent: descriptor of a pipe whose end means that the node is gone.
    """

    target: str
    target_url: str
    folder: str
    packages: str
    parent: int

    def log(self, name: str) -> str:
        """Path of the log of the ETL `name`."""
        return os.path.join(self.folder, f"{name}.{self.target}.log")


class Pod(ServerProcess):
    """A server that is ready, and a worker to the engine. Made by `start`.

    Attributes:
        url: `http://HOST:PORT`.
        communicator: how to talk to it, as the ETL's specification says.
        concurrency: how many transforms it runs at once.
    """

    def __init__(self, process: Process, spec: ETLSpec, reserved: socket.socket, workers: int) -> None:
        super().__init__(process)
        self.url = url_of(LOOPBACK, reserved.getsockname()[1])
        self.concurrency = workers
        self._workers = workers
        self._is_ours = False
        self._reserved = reserved
        self._http = HTTPCommunicator(self.url, _HEALTH_TIMEOUT)
        self.communicator = _communicator(spec, self.url)

    @classmethod
    async def start(cls, spec: ETLSpec, site: Site, images: Images) -> Self:
        """Start the server of an ETL and wait until it is ready."""
        reserved = reserve_port()
        pod = None
        try:
            launch = images.launch(spec, reserved.getsockname()[1], site.packages)
            environment = _environment(spec, site, launch.env, reserved.getsockname()[1])
            process = await Process.start_with_shim(
                launch.command, environment, site.log(spec.name), LOG_LIMIT, site.parent, launch.folder, grace=_GRACE
            )
            pod = cls(process, spec, reserved, launch.workers)
            await pod._wait_until_ready(spec)
        except OSError as error:
            reserved.close()
            raise ConfigurationError(
                f"its server can't be started: {error.strerror} (a class and each variable may have up to 128 KiB)"
            ) from error
        except BaseException:
            if pod is not None:
                pod.process.kill()
                await pod.stop()
            reserved.close()
            raise
        return pod

    async def is_dead(self) -> bool:
        """Whether the process is gone, asked when an exchange with it broke."""
        probe = asyncio.ensure_future(self.is_healthy())
        either: list[asyncio.Future[bool] | asyncio.Future[int]] = [probe, self.exited]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.exited.done():
            probe.cancel()
            return True
        if await probe:
            return False
        await asyncio.wait({self.exited}, timeout=_POLL)  # its shim ends a moment after it
        return self.exited.done()

    async def is_healthy(self) -> bool:
        """Whether it answers."""
        headers = await self._http.health()
        if headers is not None:
            self.concurrency = self._workers * int(headers.get(CONCURRENCY.lower(), "1"))
            self._is_ours = CONCURRENCY.lower() in headers
        return headers is not None

    async def arguments(self) -> dict[str, Any] | None:
        """The JSON Schema of what its class takes; None where that is a text. Servers of other makes are not asked."""
        return await self._http.arguments() if self._is_ours else None

    async def stop(self) -> None:
        """End the process, whatever it is doing, and close the connections."""
        await self.communicator.close()
        await self._http.close()
        self.process.terminate()
        await self.process.end()
        self._reserved.close()

    async def _wait_until_ready(self, spec: ETLSpec) -> None:
        try:
            # A client waits just as long, and is to hear of it.
            async with asyncio.timeout(spec.init_timeout - min(_MARGIN, spec.init_timeout / 5)):
                while not await self.is_healthy():
                    await asyncio.wait({self.exited}, timeout=_POLL)
                    if self.exited.done():
                        raise why_not_ready(self.process, "its server")
        except TimeoutError:
            raise ConfigurationError(
                f"its server did not answer {self.url}/health within init_timeout, {spec.init_timeout:g} s; it is to "
                f"listen on the port in the variable {PORT} where its command does not name 8000; "
                f"{end_of_log(self.process)}"
            ) from None


def reserve_port() -> socket.socket:
    """A socket that is bound to a free port and never listens, so that nobody else is given the port.

    On Linux a server that sets SO_REUSEADDR, as they all do, may bind to it beside us, and listen.
    """
    reserved = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        reserved.setsockopt(socket.SOL_SOCKET, option, 1)
    reserved.bind((LOOPBACK, 0))
    return reserved


def _environment(spec: ETLSpec, site: Site, more: Mapping[str, str], port: int) -> dict[str, str]:
    """What the server finds in its environment (docs/protocol.md#environment)."""
    names = [name for name in os.environ if _INHERITED.fullmatch(name) and name not in _PRIVATE]
    return {
        **{name: os.environ[name] for name in names},
        **dict(spec.env),
        **more,
        AIS_TARGET_URL: site.target_url,
        INSTORE_TRANSFORM_TIMEOUT: str(spec.obj_timeout),
        DIRECT_PUT: "true" if spec.direct_put else "false",
        PORT: str(port),
        INSTORE_PORT: str(port),
        "PYTHONUNBUFFERED": "1",  # what it prints is in the log when it is looked for
    }


def _communicator(spec: ETLSpec, url: str) -> Communicator:
    if spec.communication is Communication.WS:
        return WebSocketCommunicator(url)
    return HTTPCommunicator(url, pull=spec.communication is Communication.HPULL)
