"""The official client takes our classes: `Etl.init_class` asks whether a class derives from the SDK's own base.

Ours is registered with that base, an abstract class, as soon as both are there, whichever is imported first. Where the
SDK isn't installed, this costs one comparison of names an import.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from instore.compat.finding import find_behind

_BASE = "aistore.sdk.etl.webserver.base_etl_server"


def watch() -> None:
    """Register our base with the SDK's, now or when it is imported."""
    if (module := sys.modules.get(_BASE)) is not None:
        _register(module)
    if not any(isinstance(finder, _SDKWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SDKWatcher())


def _register(module: ModuleType) -> None:
    from instore.webserver.base_etl_server import ETLServer  # only where there is an SDK to tell of it

    base: Any = getattr(module, "ETLServer", None)
    if base is not None and base is not ETLServer and hasattr(base, "register"):
        base.register(ETLServer)


class _SDKWatcher(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders have for the SDK's base, with a loader that registers ours."""
        if fullname != _BASE:
            return None
        spec = find_behind(self, fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


class _Registering(Loader):
    """A loader that registers our base once its module has run."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register(module)

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # not set yet: a copy in the making
            raise AttributeError(name)
        return getattr(self._loader, name)
