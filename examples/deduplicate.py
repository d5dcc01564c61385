"""Leave out objects whose bytes are those of another: of equal ones, the first that is seen goes through.

    instore transform examples/deduplicate.py photos unique --args seen=/tmp/photos-seen --workers 4

Argument: `seen`, a folder that all workers share. It keeps a file for each content, called by its SHA-256, with the
path of the object whose it is. So an object that is run again, after an error or in a later job, is no copy of itself.

Which of equal objects is the first depends on who comes first; `--workers 1` makes it the first by name. The folder
belongs to one source and one destination: begin with an empty one where results were deleted or objects have changed,
else the copies of what is gone are left out, too.
"""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from instore import ETLServer, Skip


@dataclass
class Options:
    seen: str

    def __post_init__(self) -> None:
        if not os.path.isabs(self.seen):
            raise ValueError(f"seen is {self.seen!r}; it takes a folder's whole path, such as /tmp/seen")


class Deduplicate(ETLServer):
    Args = Options

    def transform(self, data: bytes | str, path: str, args: Options) -> bytes:
        content = data if isinstance(data, bytes) else Path(data).read_bytes()
        first = owner(Path(args.seen), hashlib.sha256(content).hexdigest(), path)
        if first != path:
            raise Skip(f"its bytes are those of {first}")
        return content


def owner(folder: Path, digest: str, path: str) -> str:
    """Whose content it is: `path`'s if it was nobody's.

    The file is linked to its name once it is whole: so one of several processes wins, and none ever reads half a path.
    """
    name = folder / digest[:2] / digest
    if not name.exists():
        name.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=name.parent) as file:
            file.write(os.fsencode(path))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, name)
    return os.fsdecode(name.read_bytes())
