"""`aistore.sdk.etl.webserver.utils`, from instore."""

from instore.errors import InvalidPipelineError
from instore.webserver.base_etl_server import ETLServer as ETLServer
from instore.webserver.utils import UTF_ENCODING as UTF_ENCODING
from instore.webserver.utils import _ResponseRawReader as _ResponseRawReader
from instore.webserver.utils import compose_etl_direct_put_url as compose_etl_direct_put_url
from instore.webserver.utils import parse_etl_pipeline as _parse_etl_pipeline
from instore.webserver.utils import serialize_class as serialize_class


def parse_etl_pipeline(pipeline_header: str) -> tuple[str, str]:
    """As ours; its error is the one that `aistore.sdk.errors` has here, which is what a caller would catch."""
    try:
        return _parse_etl_pipeline(pipeline_header)
    except InvalidPipelineError as error:
        from aistore.sdk import errors

        raise errors.InvalidPipelineError(str(error)) from error
