"""Puts the overlay and a server's port in place when Python starts.

Under `instore exec` this folder stands first in PYTHONPATH.

Then it runs the `sitecustomize` that it hides, if there is one. It runs in whatever Python the command is, so it uses
the standard library only, and an interpreter without instore goes on without the overlay, and says so.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def _install() -> None:
    try:
        from instore.compat import aistore, port
    except ImportError as error:
        sys.stderr.write(
            f"instore exec: {sys.executable} can't import instore ({error}), so AIStore's import paths are not served "
            f"there; install instore for it: {sys.executable} -m pip install instore\n"
        )
    else:
        aistore.install()
        port.install()


def _run_hidden() -> None:
    others = [entry for entry in sys.path if os.path.abspath(entry) != _FOLDER]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_install()
_run_hidden()
