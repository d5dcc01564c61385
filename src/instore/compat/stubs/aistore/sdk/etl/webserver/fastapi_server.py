"""`aistore.sdk.etl.webserver.fastapi_server`, from instore."""

from instore.webserver.base_etl_server import ETLServer as ETLServer
from instore.webserver.fastapi_server import FastAPIServer as FastAPIServer
