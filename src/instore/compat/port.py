"""A server's port on a machine that many share: where a program listens on 8000, it gets the port of `INSTORE_PORT`.

A container has a network of its own, and its server listens on port 8000 of it, whatever the program is. A node's
servers share one machine, so each gets another port, and listens on loopback only: whoever reaches it can name files.
"""

import os
import socket
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from instore.compat.finding import find_behind
from instore.protocol.environment import INSTORE_PORT

_PORT = 8000
_LOOPBACK = "127.0.0.1"


def install() -> None:
    """Move what this process binds to port 8000, if the variable says where to."""
    given = os.environ.get(INSTORE_PORT, "")
    if not given.isdigit():
        return
    port = int(given)
    _move_sockets(port)
    sys.meta_path.insert(0, _LoopWatcher(port))


def _move_sockets(port: int) -> None:
    plain = socket.socket.bind

    def bind(self: socket.socket, address: Any, /) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[1] == _PORT:
            address = (_loopback(self), port)
        plain(self, address)

    socket.socket.bind = bind  # type: ignore[assignment, method-assign]


def _loopback(bound: socket.socket) -> str:
    if bound.family == socket.AF_INET:
        return _LOOPBACK
    return "::1" if bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else f"::ffff:{_LOOPBACK}"


class _LoopWatcher(MetaPathFinder):
    """Wraps uvloop, which binds its sockets past Python's own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders have for uvloop, with a loader that moves what its loop listens on."""
        if fullname != "uvloop":
            return None
        spec = find_behind(self, fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Moving(spec.loader, self._port)
        return spec


class _Moving(Loader):
    """A loader that changes `create_server` of uvloop's loop once its module has run."""

    def __init__(self, loader: Loader, port: int) -> None:
        self._loader = loader
        self._port = port

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        plain, moved = module.Loop.create_server, self._port

        async def create_server(self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
            if port == _PORT:
                host, port = _LOOPBACK, moved
            return await plain(self, factory, host, port, **options)

        module.Loop.create_server = create_server

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # not set yet: a copy in the making
            raise AttributeError(name)
        return getattr(self._loader, name)
