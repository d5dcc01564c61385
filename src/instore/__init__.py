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
    from instore.offline.library import arun, run
    from instore.offline.tally import FailedObject, JobReport
    from instore.webserver.base_etl_server import AsyncReader, ETLServer

__all__ = ["AsyncReader", "ETLServer", "FailedObject", "JobReport", "__version__", "arun", "run"]

_PLACES = {
    "AsyncReader": "instore.webserver.base_etl_server",
    "ETLServer": "instore.webserver.base_etl_server",
    "FailedObject": "instore.offline.tally",
    "JobReport": "instore.offline.tally",
    "arun": "instore.offline.library",
    "run": "instore.offline.library",
}

_watch()


def __getattr__(name: str) -> Any:
    """What an import of `instore` does not need is imported when it is used."""
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)
