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

if TYPE_CHECKING:
    from instore.webserver.base_etl_server import AsyncReader, ETLServer

__all__ = ["AsyncReader", "ETLServer", "__version__"]

_watch()


def __getattr__(name: str) -> Any:
    """The server is imported when it is asked for: pytest imports this package for its plugin alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from instore.webserver import base_etl_server

    return getattr(base_etl_server, name)
