"""instore: run data transforms in the store.

A class with one method becomes a web server that speaks the AIStore ETL protocol:

    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            return data.upper()
"""

from instore.compat.client import watch as _watch
from instore.version import __version__
from instore.webserver.base_etl_server import AsyncReader, ETLServer

__all__ = ["AsyncReader", "ETLServer", "__version__"]

_watch()
