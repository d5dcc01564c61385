"""Which local paths are an object's file (docs/protocol.md#files).

Anyone who can reach the server's port can name a path. Only paths of the store's own layout are served,
`<mountpath>/@<provider>[/<namespace>]/<bucket>/%ob/<object>` (`%ch` for a chunk), and what lies under configured roots.
This module judges the text of a path; whoever opens the file judges the path of what was opened once more.
"""

import re
from collections.abc import Sequence

from instore.protocol.names import PROVIDERS

_STORED_FILE = re.compile(
    r"/@(?:{providers})(?:/(?:@[^/#]*)?(?:#[^/]*)?)?/[^/@#%][^/]*/%([^/]*)/.".format(providers="|".join(PROVIDERS)),
    re.DOTALL,
)
_CONTENT = ("ob", "ch")
_NOT_NORMAL = re.compile(r"//|/\.{1,2}(?:/|\Z)|/\Z|\x00")


def is_object_file(path: str, roots: Sequence[str] = ()) -> bool:
    """Whether the file at `path` may be read."""
    if not path.startswith("/") or _NOT_NORMAL.search(path):
        return False
    # The first match: an object's name, which anyone may choose, can look like such a path once more.
    stored = _STORED_FILE.search(path)
    if stored is not None and stored[1] in _CONTENT:
        return True
    return any(path.startswith(root.rstrip("/") + "/") for root in roots)
