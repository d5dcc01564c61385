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

if TYPE_CHECKING:
    from instore.errors import Skip
    from instore.offline.library import arun, run
    from instore.offline.tally import FailedObject, JobReport
    from instore.server.current_object import ObjectInfo
    from instore.server.user_results import Result
    from instore.shards.member import Member
    from instore.shards.reader import members
    from instore.shards.writer import TarWriter
    from instore.webserver.base_etl_server import AsyncReader, ETLServer

__all__ = [
    "AsyncReader",
    "ETLServer",
    "FailedObject",
    "JobReport",
    "Member",
    "ObjectInfo",
    "Result",
    "Skip",
    "TarWriter",
    "__version__",
    "arun",
    "members",
    "run",
]

_PLACES = {
    "AsyncReader": "instore.webserver.base_etl_server",
    "ETLServer": "instore.webserver.base_etl_server",
    "FailedObject": "instore.offline.tally",
    "JobReport": "instore.offline.tally",
    "Member": "instore.shards.member",
    "ObjectInfo": "instore.server.current_object",
    "Result": "instore.server.user_results",
    "Skip": "instore.errors",
    "TarWriter": "instore.shards.writer",
    "arun": "instore.offline.library",
    "members": "instore.shards.reader",
    "run": "instore.offline.library",
}

_watch()


def __getattr__(name: str) -> Any:
    """What an import of `instore` does not need is imported when it is used."""
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)
