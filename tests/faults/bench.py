"""Runs a row: the servers, the peer and the files it needs, and what came of it."""

import os
import random
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import trustme

from tests.faults import files
from tests.faults.doors import PUT, Conclusion, Kind, Order, Source, wait_until
from tests.faults.table import Hop, Must, Port, Row, Variant
from tests.faults.transforms import Mode, Shape, made_of, source_of
from tests.support.peers import STAGE_PREFIX, Behaviour, Peer
from tests.support.servers import TARGET_PATH, Server, running

TOKEN = "t0ken-of-the-server"

_ENVIRONMENTS: dict[Variant, dict[str, str]] = {
    Variant.PLAIN: {},
    Variant.RETRIES: {"AIS_DIRECT_PUT_RETRIES": "1"},
    Variant.HASTY: {"INSTORE_TIMEOUT": "0.5"},
    Variant.ORPHAN: {},
    Variant.DRAINS: {},
    Variant.TLS: {"INSTORE_TLS": "server"},
}
_CHANGES = (Mode.SHRINKS, Mode.GROWS, Mode.OVERWRITES)
_MODES_WITH_A_FILE = (Mode.WAITS, *_CHANGES)


@cache
def data_of(size: int) -> bytes:
    """The object of that size."""
    return random.Random(size).randbytes(size)


@dataclass(frozen=True)
class Happened:
    """What came of a row.

    Attributes:
        conclusion: the target's.
        server: that was asked.
        name: the object's.
        peer: which knows what was stored.
    """

    conclusion: Conclusion
    server: Server
    name: str
    peer: Peer


class Make(Protocol):
    """A make of server: how one is started, and how to know that it is through with an object."""

    def start(
        self, folder: Path, shape: Shape, *, target_url: str, environment: Mapping[str, str], name: str
    ) -> AbstractContextManager[Server]:
        """Serve the transform in that shape until the context ends."""

    def wait_for_end(self, server: Server, begun: int, name: str) -> None:
        """Wait until an object that nobody waits for any more has an outcome; `begun`: where its log begins."""


class Instore:
    """Our own make."""

    def start(
        self, folder: Path, shape: Shape, *, target_url: str, environment: Mapping[str, str], name: str
    ) -> AbstractContextManager[Server]:
        variables, scheme = dict(environment), "http"
        if "INSTORE_TLS" in variables:
            variables |= _certificate(folder)
            scheme = "https"
        return running(
            folder,
            source_of(shape),
            target_url=target_url,
            environment=variables,
            options=("--log-level", "debug"),
            name=name,
            scheme=scheme,
        )

    def wait_for_end(self, server: Server, begun: int, name: str) -> None:
        wait_until(lambda: _has_ended(server, begun, name), f"{name} has an outcome")


def _certificate(folder: Path) -> dict[str, str]:
    """The variables of a server that shows one."""
    shown = trustme.CA().issue_cert("127.0.0.1")
    shown.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    shown.private_key_pem.write_to_path(str(folder / "server.key"))
    return {"AIS_CRT": str(folder / "server.pem"), "AIS_CRT_KEY": str(folder / "server.key")}


class Bench:
    """The servers and the peer that rows share, each started by the first row that needs it.

    Args:
        folder: for modules, logs and files.
        make: of the servers. Default: our own.
    """

    def __init__(self, folder: Path, make: Make | None = None) -> None:
        self._folder = folder
        self._make = make or Instore()
        self._stacks: dict[tuple[Shape, Variant, bool], ExitStack] = {}
        self._servers: dict[tuple[Shape, Variant, bool], Server] = {}
        self.peer = Peer().__enter__()

    def close(self) -> None:
        for stack in self._stacks.values():
            stack.close()
        self.peer.__exit__()

    def drop(self, row: Row, variant: Variant | None = None) -> None:
        """End the servers that the row was given, or the one of `variant`: the next row shall have others."""
        for key in [key for key in self._stacks if key[0] is row.shape and variant in (None, key[1])]:
            del self._servers[key]
            self._stacks.pop(key).close()

    def prepare(self, row: Row) -> None:
        """Start the servers that the row needs, so that its own time does not count their start."""
        self.server(row.shape, row.variant)
        if row.hop is Hop.SERVER_TARGET:
            self.server(row.shape, Variant.PLAIN, behind=True)

    def run(self, row: Row) -> Happened:
        """Do what the row says, up to where nothing is under way any more."""
        server, order = self.server(row.shape, row.variant), self._order(row)
        self._instruct_peer(row, order.name)
        if row.port is Port.OWN:
            PUT.ask(server, replace(order, name=f"warm-{order.name}", source=Source.BODY))
        begun = server.log.stat().st_size
        if row.variant is Variant.DRAINS:
            conclusion = self._ask_and_stop(row, server, order)
        else:
            conclusion = row.door.ask(server, order)
        self._gate(row.id).touch()
        if conclusion.kind is Kind.LEFT:
            self._make.wait_for_end(server, begun, order.name)
        self.peer.settled(order.name)
        return Happened(conclusion, server, order.name, self.peer)

    def _ask_and_stop(self, row: Row, server: Server, order: Order) -> Conclusion:
        """Have the server stopped while the object is under way, and wait until it has ended."""
        with ThreadPoolExecutor(1) as thread:
            asking = thread.submit(row.door.ask, server, order)
            wait_until(lambda: os.path.exists(order.client.until), "the transform has begun")
            server.process.terminate()
            wait_until(lambda: not _accepts(server), "the server has begun to stop")
            self._gate(row.id).touch()
            conclusion = asking.result()
        server.process.wait(30)
        self.drop(row, Variant.DRAINS)
        return conclusion

    def server(self, shape: Shape, variant: Variant, behind: bool = False) -> Server:
        """The server of that class and environment, started if need be; `behind` is another one, for a chain."""
        key = (shape, variant, behind)
        if key not in self._servers:
            url = self.peer.target_url
            if variant is Variant.ORPHAN:
                url = f"http://127.0.0.1:{self.peer.closed_port()}{TARGET_PATH}"
            environment = {
                "AIS_DIRECT_PUT_RETRIES": "0",
                "AIS_AUTHN_TOKEN": TOKEN,
                "DIRECT_PUT": "true",
                "INSTORE_DOWNLOAD_LOCAL": "true",
            }
            starting = self._make.start(
                self._folder,
                shape,
                target_url=url,
                environment=environment | _ENVIRONMENTS[variant],
                name=f"{shape}_{variant}{'_behind' * behind}",
            )
            stack = ExitStack()
            self._servers[key] = stack.enter_context(starting)
            self._stacks[key] = stack
        return self._servers[key]

    def _order(self, row: Row) -> Order:
        name, data = row.id, data_of(row.size)
        fqn = files.make(row.file, self._folder, name, data) if row.source is Source.FILE else ""
        client, argument = row.client, ""
        if row.mode is Mode.WAITS:
            argument = str(self._gate(row.id))
            client = replace(client, until=f"{argument}.begun")
        elif row.mode in _CHANGES:
            argument = fqn
            os.utime(fqn, (0, 0))  # the clock of a file system has ticks
        etl_args = f"{row.mode}:{argument}" if row.mode in _MODES_WITH_A_FILE else row.mode
        port = self.peer.closed_port() if row.variant is Variant.ORPHAN else self.peer.port
        url = f"http://127.0.0.1:{port}/files/{name}"
        return Order(name, row.source, data, self._pipeline(row, name), etl_args, fqn, url, client)

    def _gate(self, row: str) -> Path:
        return self._folder / f"gate-{row}"

    def _pipeline(self, row: Row, name: str) -> str:
        match row.port:
            case Port.SHARED:
                port = self.peer.port
            case Port.OWN:
                port = self.peer.open()
            case Port.REFUSES:
                port = self.peer.closed_port()
            case Port.RESETS:
                port = self.peer.open(resets=True)
        target = f"http://127.0.0.1:{port}/ais%2F@%23%2Fdst%2F{name}?uuid=job&owt=1"
        match row.hop:
            case Hop.NONE:
                return ""
            case Hop.TARGET:
                return target
            case Hop.STAGE:
                return f"http://127.0.0.1:{port}"
            case Hop.STAGE_TARGET:
                return f"http://127.0.0.1:{port},{target}"
            case Hop.SERVER_TARGET:
                return f"{self.server(row.shape, Variant.PLAIN, behind=True).url},{target}"

    def _instruct_peer(self, row: Row, name: str) -> None:
        if row.source in (Source.PULL, Source.URL):
            self.peer.hold(name, data_of(row.size))
        for method, behaviour in (("PUT", row.next_behaviour), ("GET", row.pull_behaviour)):
            if behaviour is not None:
                self.peer.plan(method, name, behaviour, row.times)


def _accepts(server: Server) -> bool:
    try:
        socket.create_connection((server.host, server.port), timeout=5).close()
    except OSError:
        return False
    return True


def _has_ended(server: Server, begun: int, name: str) -> bool:
    with server.log.open("rb") as log:
        log.seek(begun)
        return any(f"/{name}'".encode() in line and b"outcome=" in line for line in log)


def right_result(row: Row) -> bytes | None:
    """What the transform has to make of the row's object; None: it can't make anything."""
    broken_source = row.file != "good" or row.client.sends is not None or _must_fail_to_pull(row)
    broken_transform = row.mode not in (Mode.GOOD, Mode.EMPTY, Mode.WAITS)
    if broken_source or broken_transform:
        return None
    return b"" if row.mode is Mode.EMPTY else made_of(data_of(row.size))


def _must_fail_to_pull(row: Row) -> bool:
    faulty = row.pull_behaviour is not None or row.variant is Variant.ORPHAN
    return faulty and row.expected.must is Must.FAIL


def right_end(row: Row) -> bytes | None:
    """What has to be the content, or stored at the destination, at the pipeline's end."""
    result = right_result(row)
    if result is None:
        return None
    match row.hop:
        case Hop.NONE | Hop.TARGET:
            return result
        case Hop.STAGE | Hop.STAGE_TARGET:
            said = _said(row.next_behaviour)
            return STAGE_PREFIX + result if said is None else said
        case Hop.SERVER_TARGET:
            return b"" if row.mode is Mode.EMPTY else made_of(result)


def _said(behaviour: Behaviour | None) -> bytes | None:
    """The very body that a next stage answers, if it was told one that counts as content."""
    say = behaviour.say if behaviour is not None else None
    return say.body if say is not None and say.status in (200, 202) else None
