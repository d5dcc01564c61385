"""The overlay: AIStore's import paths, served from instore.

Strategy: a finder stands before all others and looks at names below `aistore` only.

- The SDK's web servers (`_ALWAYS`) come from instore, whether or not the official package is there.
- Whatever else the official package has comes from it, untouched.
- Where it isn't installed, the packages that lead to the web servers, and the errors and constants that transforms use,
  come from instore too; anything else is an `ImportError` that says what to install.

What stands in for a module is a file under `stubs/`, so that reloading, pickling and tracebacks work as for any
other.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from instore.compat.finding import find_behind
from instore.compat.missing import sentence

_TOP = "aistore"
_STUBS = Path(__file__).parent / "stubs"
_WEBSERVER = "aistore.sdk.etl.webserver"
_ALWAYS = (
    _WEBSERVER,
    f"{_WEBSERVER}.base_etl_server",
    f"{_WEBSERVER}.utils",
    f"{_WEBSERVER}.fastapi_server",
    f"{_WEBSERVER}.flask_server",
    f"{_WEBSERVER}.http_multi_threaded_server",
)


def install() -> None:
    """Put the overlay in place. What was imported before is exchanged; calling it again changes nothing.

    A name that other code took from the SDK's modules before stays what it was.
    """
    if any(isinstance(finder, _Overlay) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Overlay())
    importlib.invalidate_caches()
    before = [name for name in _ALWAYS if sys.modules.pop(name, None) is not None]
    for name in before:
        importlib.import_module(name)  # which also sets it as its package's attribute


class _Overlay(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a name below `aistore`; None for any other.

        Raises:
            ModuleNotFoundError: the official package would have it, and isn't installed.
        """
        if fullname != _TOP and not fullname.startswith(f"{_TOP}."):
            return None
        official = self._official(fullname, path, target)
        if fullname in _ALWAYS:
            return _stub(fullname, official)
        if official is not None or not _is_stub(fullname):
            return official
        if (spec := _stub(fullname)) is None:
            raise ModuleNotFoundError(sentence(fullname), name=fullname)
        return spec

    def _official(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        spec = find_behind(self, fullname, path, target)
        folder_only = fullname == _TOP and spec is not None and spec.origin is None  # a folder that is no package
        return None if folder_only else spec


def _stub(fullname: str, official: ModuleSpec | None = None) -> ModuleSpec | None:
    """The spec of the file that stands for `fullname`, if there is one.

    Args:
        fullname: the module's name.
        official: the official package's, whose other modules stay importable.
    """
    place = _STUBS.joinpath(*fullname.split("."))
    if not place.is_dir():
        file = place.with_suffix(".py")
        return spec_from_file_location(fullname, file) if file.is_file() else None
    beside = list(official.submodule_search_locations or ()) if official is not None else []
    return spec_from_file_location(fullname, place / "__init__.py", submodule_search_locations=[str(place), *beside])


def _is_stub(fullname: str) -> bool:
    """Whether the top package is ours: the official one isn't installed."""
    top = sys.modules.get(_TOP)
    return fullname == _TOP or (top is not None and str(getattr(top, "__file__", "")).startswith(str(_STUBS)))
