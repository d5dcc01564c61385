"""`aistore.sdk.etl.webserver.utils`, from instore."""

from instore.webserver.base_etl_server import ETLServer as ETLServer
from instore.webserver.utils import UTF_ENCODING as UTF_ENCODING
from instore.webserver.utils import _ResponseRawReader as _ResponseRawReader
from instore.webserver.utils import compose_etl_direct_put_url as compose_etl_direct_put_url
from instore.webserver.utils import parse_etl_pipeline as parse_etl_pipeline
from instore.webserver.utils import serialize_class as serialize_class
