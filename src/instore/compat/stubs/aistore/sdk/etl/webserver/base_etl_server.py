"""`aistore.sdk.etl.webserver.base_etl_server`, from instore."""

from instore.webserver.base_etl_server import ETLServer as ETLServer
