"""A transform behind a real server, in a process of its own, for tests."""

import contextlib
import errno
import importlib.machinery
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

import cloudpickle

from instore.errors import ConfigurationError
from instore.http.server import bind
from instore.protocol.environment import (
    AIS_TARGET_URL,
    ETL_CLASS_PAYLOAD,
    INSTORE_FRAMES,
    NUM_WORKERS,
)
from instore.protocol.headers import GROUP_PATH, GROUPS, HEALTH_PATH, NODE_URL, RESULTS
from instore.protocol.object_groups import MOST_OBJECTS, GroupedObject, encode_group
from instore.protocol.pipeline import join_pipeline
from instore.protocol.requests import object_target, pull_target
from instore.protocol.websocket import write_control
from instore.runtime.supervisor import how_it_ended, worker_command
from instore.shipping.payload import dump
from instore.system import exit_codes
from instore.system.addresses import url_of
from instore.system.logs import LogOptions
from instore.system.printable import printable
from instore.testing.answers import Answer, read_delivery, read_group, read_reply
from instore.testing.command import started
from instore.testing.target import StandInTarget
from instore.testing.wire import Reply, Sent, ask, ask_websocket

Served = type | str | os.PathLike[str]
"""A transform: its class, or what the commands call TRANSFORM."""

_POLL = 0.01  # seconds between two looks at a server that is starting
_STOP = 10.0  # seconds for a server to end by itself
_REAPED = 0.5  # seconds within which a process can be seen dead after its connections broke
_LAST_LINES = 20
_BUCKET = "samples"  # of an object whose name has no bucket


class Server:
    """One transform's server, and a small target beside it, as long as it is entered.

        with Server(Thumbs) as server:
            picture = server.put("photos/cat.jpg", data, args="256").body

    Every request gives an `Answer`. Objects are named `<bucket>/<object>`, as a cluster names them; what the transform
    gets as its `path` differs by the way in, as it does there (docs/protocol.md#names).

    Args:
        transform: the class; or `file.py`, `file.py:Class` or `package.module:Class`, as for `instore serve`. A class
            is imported in the server's process by its name where it can be, and sent there otherwise.
        environment: variables for the server, such as `{"ETL_DIRECT_FQN": "true"}`. Of this process's own, those that
            an ETL server reads are left out.
        timeout: seconds that a request may go without progress; None: any number. Default 60.
        start_timeout: seconds that the start may take; None: any number. Default 120.

    Raises:
        ConfigurationError: when it is entered: the transform can't be served; the text says why.
    """

    def __init__(
        self,
        transform: Served,
        environment: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
        start_timeout: float | None = 120.0,
    ) -> None:
        self._transform = transform
        self._environment = dict(environment or {})
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="instore-")))
            self._target = undo.enter_context(StandInTarget())
            listener = undo.enter_context(bind("127.0.0.1", 0))
            self.url = url_of("127.0.0.1", listener.getsockname()[1])
            self._process = self._start(listener, undo)
            listener.close()
            self._wait_until_ready()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def log(self) -> str:
        """What the server and the transform have printed and logged so far."""
        return (self._folder / "log").read_text(errors="replace")

    def put(
        self,
        name: str,
        data: bytes,
        args: str = "",
        *,
        chunked: bool = False,
        cut: bool = False,
        results: bool = False,
    ) -> Answer:
        """Send an object in a PUT's body, as `hpush://` does.

        Args:
            name: `<bucket>/<object>`; the transform's `path`.
            data: the object.
            args: the request's `etl_args`.
            chunked: don't announce the body's length. Default: it is announced.
            cut: end the connection in the middle of the body. Default: send all of it.
            results: take several results, or one with a name or metadata, as the jobs of `instore transform` and
                `instore node` do; they are `Answer.results`. Default: as a cluster asks, which takes one.
        """
        target = object_target(name, "", args)
        return read_reply(self._ask(Sent("PUT", target, data, _headers(results), chunked=chunked, cut=cut)))

    def file(self, path: str | os.PathLike[str], args: str = "", name: str = "", *, results: bool = False) -> Answer:
        """Name an object's file in the request, as targets do by default.

        Args:
            path: the file; the server reads a copy of it, in the layout of a target's disk.
            args: as for `put`.
            name: as for `put`. Default: the file's name, in the bucket `samples`.
            results: as for `put`.
        """
        name = name or f"{_BUCKET}/{Path(path).name}"
        place = self._new_place(name)
        shutil.copyfile(path, place)
        return read_reply(self._ask(Sent("PUT", object_target(name, str(place), args), b"", _headers(results))))

    @property
    def takes_groups(self) -> bool:
        """Whether objects may be asked for in groups: the class makes one result of each, whole."""
        return GROUPS.lower() in ask(self.url, Sent("GET", HEALTH_PATH), self._timeout).headers

    def group(self, objects: Mapping[str, bytes], args: str = "", *, results: bool = False) -> dict[str, Answer]:
        """Name several objects' files in one request, as the jobs of `instore transform` do for small ones.

        They are under way at once, and those of a class with `transform_batch` meet in batches.

        Args:
            objects: each by its name, as for `put`. More than 64 are several requests.
            args: as for `put`.
            results: as for `put`.

        Returns:
            Each object's answer by its name. Where the class doesn't take groups, an error of one may be that of all.
        """
        names = list(objects)
        answers: dict[str, Answer] = {}
        for start in range(0, len(names), MOST_OBJECTS):
            chosen = names[start : start + MOST_OBJECTS]
            places = [self._new_place(name) for name in chosen]
            for name, place in zip(chosen, places, strict=True):
                place.write_bytes(objects[name])
            named = zip(chosen, places, strict=True)
            body = encode_group([GroupedObject(name, str(place), args, results) for name, place in named])
            reply = self._ask(Sent("POST", GROUP_PATH, body))
            answers |= zip(chosen, read_group(reply, len(chosen)), strict=True)
        return answers

    def pull(self, name: str, data: bytes, args: str = "", *, cut: bool = False, results: bool = False) -> Answer:
        """Have the server fetch the object from the target, as `hpull://` does. Two at once need two names.

        Args:
            name: `<bucket>/<object>`; the transform's `path` is the uname, `ais/@#/<bucket>/<object>`.
            data: the object that the target has.
            args: as for `put`.
            cut: the target breaks off in the middle of it. Default: it sends all of it.
            results: as for `put`.
        """
        uname = _uname(name)
        self._target.offer(uname, data, cut)
        return read_reply(self._ask(Sent("GET", pull_target(uname, args), headers=_headers(results))))

    def websocket(self, name: str, data: bytes, args: str = "", *, cut: bool = False) -> Answer:
        """Send an object over WebSocket, as `ws://` does.

        Args:
            name: `<bucket>/<object>`; the transform's `path` is the object's name alone.
            data: the object.
            args: as for `put`.
            cut: end the connection in the middle of the object. Default: send all of it.
        """
        control = write_control(name.partition("/")[2] or name, etl_args=args)
        return read_reply(self._seen(ask_websocket(self.url, control, data, self._timeout, cut)))

    def pipeline(
        self, stages: "Sequence[Server | Served]", name: str, data: bytes, args: str = "", *, cut: bool = False
    ) -> Answer:
        """Send an object through this server and further stages, the last of which puts its result to the target.

        Args:
            stages: the further stages in order: transforms, which are served meanwhile, or servers that are entered.
                Empty: this server itself puts its result to the target.
            name: as for `put`.
            data: as for `put`.
            args: as for `put`.
            cut: as for `put`.

        Returns:
            The answer; its body is what the target was sent.
        """
        with contextlib.ExitStack() as undo:
            servers = [stage if isinstance(stage, Server) else undo.enter_context(Server(stage)) for stage in stages]
            token, destination = self._target.expect(_uname(name))
            pipeline = join_pipeline([server.url for server in servers], destination)
            reply = self._ask(Sent("PUT", object_target(name, "", args), data, {NODE_URL: pipeline}, cut=cut))
            return read_delivery(reply, self._target.delivered(token))

    def _new_place(self, name: str) -> Path:
        """Where an object's file can lie, in the layout of a target's disk."""
        place = Path(tempfile.mkdtemp(dir=self._folder)) / "@ais" / _BUCKET / "%ob" / Path(name).name
        place.parent.mkdir(parents=True)
        return place

    def _ask(self, sent: Sent) -> Reply:
        return self._seen(ask(self.url, sent, self._timeout))

    def _seen(self, reply: Reply) -> Reply:
        """A reply; one that broke off says how the server died, if it did."""
        if not reply.broken or self._is_healthy():
            return reply
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAPED)
            return replace(reply, broken=f"the server {self._how_it_ended()}; {reply.broken}")
        return reply

    def _start(self, listener: socket.socket, undo: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        arguments, variables = self._command()
        command = worker_command(arguments, listener.fileno(), LogOptions("warning"))
        variables = {AIS_TARGET_URL: self._target.url, INSTORE_FRAMES: "true", **variables, **self._environment}
        with (self._folder / "log").open("wb") as log:
            try:
                return undo.enter_context(started(command, variables, log, log, _STOP, [listener.fileno()]))
            except OSError as error:
                too_large = "; the class is too large to be sent, so put it into a module"
                more = too_large if error.errno == errno.E2BIG else ""
                raise ConfigurationError(f"the server can't be started: {error.strerror}{more}") from error

    def _command(self) -> tuple[list[str], dict[str, str]]:
        """The arguments of `instore`, and the variables that go with them."""
        if not isinstance(self._transform, type):
            return ["serve", os.fspath(self._transform)], {}
        with _importable(self._transform):
            payload = dump(self._transform).decode()
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        return ["runtime"], {ETL_CLASS_PAYLOAD: payload, NUM_WORKERS: "1", "PYTHONPATH": path}

    def _wait_until_ready(self) -> None:
        until = math.inf if self._start_timeout is None else time.monotonic() + self._start_timeout
        while not self._is_healthy():
            if self._process.poll() is not None:
                raise ConfigurationError(self._why_not_ready())
            if time.monotonic() > until:
                raise ConfigurationError(
                    f"the server was not ready after {self._start_timeout:g} s; {self._end_of_log()}"
                )
            time.sleep(_POLL)

    def _is_healthy(self) -> bool:
        return ask(self.url, Sent("GET", HEALTH_PATH), self._timeout).status == HTTPStatus.OK

    def _why_not_ready(self) -> str:
        lines = self._last_lines()
        if self._process.returncode == exit_codes.CONFIGURATION and lines:
            return lines[-1].removeprefix("instore: ")
        return f"the server {self._how_it_ended()} before it was ready; {self._end_of_log()}"

    def _how_it_ended(self) -> str:
        return how_it_ended(self._process.returncode)

    def _end_of_log(self) -> str:
        lines = self._last_lines()
        return "\n  ".join(["its log ends:", *lines]) if lines else "its log is empty"

    def _last_lines(self) -> list[str]:
        return [printable(line) for line in self.log.splitlines() if line.strip()][-_LAST_LINES:]


def _headers(results: bool) -> dict[str, str]:
    return {RESULTS: "true"} if results else {}


def _uname(name: str) -> str:
    return f"ais/@#/{name if '/' in name else f'{_BUCKET}/{name}'}"


@contextlib.contextmanager
def _importable(cls: type) -> Iterator[None]:
    """Have the class sent whole meanwhile, if its module can't be imported by its name elsewhere."""
    module = sys.modules.get(cls.__module__)
    by_value = module is not None and cls.__module__ != "__main__" and not _is_found(module)
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _is_found(module: ModuleType) -> bool:
    """Whether importing a module's name in another process, with our path, would give that module."""
    spec, path = None, None
    parts = module.__name__.split(".")
    for number in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: number + 1]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec is not None and spec.origin == getattr(module, "__file__", None)
