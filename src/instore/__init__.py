"""instore: run data transforms in the store.

A class with one method becomes a web server that speaks the AIStore ETL protocol:

    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            return data.upper()
"""

from instore.compat.client import watch as _watch
from instore.webserver.base_etl_server import AsyncReader, ETLServer

__version__ = "0.1.0"

__all__ = ["AsyncReader", "ETLServer", "__version__"]

_watch()
