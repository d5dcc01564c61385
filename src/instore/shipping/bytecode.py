"""Whether a pickled function's bytecode is this Python's.

A pickle of a class carries the bytecode of its methods and not the version that it is for. Another version's bytecode
can raise anything, or crash the process, once it runs. So it is looked at before anything of it is made: its
instructions must be instructions here, RESUME among them, each followed by as many empty cache entries as it has here.
Where two versions agree in all of that, as 3.11 and 3.12 do in `return data`, there is nothing to tell them apart by.
"""

import opcode
import sys
from collections.abc import Sequence

_CACHE = 0
_PARTS = 18  # arguments of `types.CodeType` since Python 3.11
_CODE = 6  # the place of the instructions among them, since Python 3.8
# The number of RESUME, which every function has. 149 is another instruction before 3.13, so it is looked for second.
_RESUMES = ((151, ("3.11", "3.12")), (149, ("3.13",)), (128, ("3.14",)))
_RESUME = opcode.opmap["RESUME"]
_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

_INSTRUCTIONS = {number: name for name, number in opcode.opmap.items() if _CACHE < number < 256}
_CACHES = opcode._inline_cache_entries  # type: ignore[attr-defined]  # private, and nowhere else to be had
_ENTRIES = {
    number: _CACHES.get(name, 0) if isinstance(_CACHES, dict) else _CACHES[number]  # a list up to 3.12
    for number, name in _INSTRUCTIONS.items()
}


def foreign_version(parts: Sequence[object]) -> str | None:
    """The Python that made a code object, if it is not one that this Python can run."""
    code = parts[_CODE] if len(parts) == _PARTS else None
    if not isinstance(code, bytes):
        return "3.10 or older" if len(parts) < _PARTS else "another version"
    if _is_ours(code):
        return None
    versions = [version for version in _versions(code) if version != _HERE]
    return " or ".join(versions) or "another version"


def _is_ours(code: bytes) -> bool:
    place = 0
    resumes = False
    while place < len(code):
        entries = _ENTRIES.get(code[place])
        if entries is None:
            return False
        resumes = resumes or code[place] == _RESUME
        place += 2
        if code[place : place + 2 * entries].count(_CACHE) != 2 * entries:
            return False
        place += 2 * entries
    return resumes


def _versions(code: bytes) -> tuple[str, ...]:
    return next((versions for resume, versions in _RESUMES if resume in code[::2]), ())
