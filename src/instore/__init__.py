"""instore: run data transforms in the store.

A class with one method becomes a web server that speaks the AIStore ETL protocol:

    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            return data.upper()
"""

import importlib
from typing import TYPE_CHECKING, Any

from instore.compat.client import watch as _watch
from instore.version import __version__
from instore.webserver.base_etl_server import AsyncReader, ETLServer

if TYPE_CHECKING:
    from instore.offline.library import arun, run
    from instore.offline.tally import FailedObject, JobReport
    from instore.shards.member import Member
    from instore.shards.reader import members
    from instore.shards.writer import TarWriter

__all__ = [
    "AsyncReader",
    "ETLServer",
    "FailedObject",
    "JobReport",
    "Member",
    "TarWriter",
    "__version__",
    "arun",
    "members",
    "run",
]

_watch()


_MODULES = {
    "run": "instore.offline.library",
    "arun": "instore.offline.library",
    "FailedObject": "instore.offline.tally",
    "JobReport": "instore.offline.tally",
    "Member": "instore.shards.member",
    "members": "instore.shards.reader",
    "TarWriter": "instore.shards.writer",
}


def __getattr__(name: str) -> Any:
    """What a server can do without is imported when it is used."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
