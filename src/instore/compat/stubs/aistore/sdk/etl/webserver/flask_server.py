"""`aistore.sdk.etl.webserver.flask_server`, from instore."""

from instore.webserver.base_etl_server import ETLServer as ETLServer
from instore.webserver.flask_server import FlaskServer as FlaskServer
