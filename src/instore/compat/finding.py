"""What the finders behind one of ours would find."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def find_behind(
    finder: MetaPathFinder, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """The spec that the finders behind `finder` have for a module; the other arguments are those of `find_spec`."""
    place = sys.meta_path.index(finder)
    for other in sys.meta_path[place + 1 :]:
        if (spec := other.find_spec(fullname, path, target)) is not None:
            return spec
    return None
