"""instore: run data transforms in the store.

A class with one method becomes a web server that speaks the AIStore ETL protocol:

    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            return data.upper()
"""

from typing import TYPE_CHECKING, Any

from instore.compat.client import watch as _watch
from instore.version import __version__
from instore.webserver.base_etl_server import AsyncReader, ETLServer

if TYPE_CHECKING:
    from instore.offline.library import arun, run
    from instore.offline.tally import FailedObject, JobReport

__all__ = ["AsyncReader", "ETLServer", "FailedObject", "JobReport", "__version__", "arun", "run"]

_watch()


def __getattr__(name: str) -> Any:
    """What runs jobs is imported when it is used: a server needs none of it."""
    if name in ("run", "arun"):
        from instore.offline import library

        return getattr(library, name)
    if name in ("FailedObject", "JobReport"):
        from instore.offline import tally

        return getattr(tally, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
