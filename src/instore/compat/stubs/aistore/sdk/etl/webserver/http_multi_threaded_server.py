"""`aistore.sdk.etl.webserver.http_multi_threaded_server`, from instore."""

from instore.webserver.base_etl_server import ETLServer as ETLServer
from instore.webserver.http_multi_threaded_server import HTTPMultiThreadedServer as HTTPMultiThreadedServer
