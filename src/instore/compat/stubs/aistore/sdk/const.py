"""The constants of `aistore.sdk.const` that concern an ETL, where the official package is not installed."""

from instore.compat.missing import missing
from instore.protocol import environment, headers
from instore.webserver.utils import UTF_ENCODING as UTF_ENCODING

HEADER_DIRECT_PUT_LENGTH = headers.DIRECT_PUT_LENGTH
HEADER_ETL_RETRY_REASON = headers.RETRY_REASON
HEADER_NODE_URL = headers.NODE_URL
ETL_RETRY_REASON_DIRECT_PUT_TRANSIENT = headers.RETRY_DIRECT_PUT_TRANSIENT
QPARAM_ETL_ARGS = headers.QUERY_ARGS
QPARAM_ETL_FQN = headers.QUERY_FQN

KIB = 1 << 10
MIB = 1 << 20

HEADER_AUTHORIZATION = "Authorization"
HEADER_CONTENT_LENGTH = "Content-Length"
HEADER_CONTENT_TYPE = "Content-Type"
HEADER_TRANSFER_ENCODING = "Transfer-Encoding"

ETL_WS_FQN = "fqn"
ETL_WS_PATH = "path"
ETL_WS_PIPELINE = "pipeline"

STATUS_OK = 200
STATUS_ACCEPTED = 202
STATUS_NO_CONTENT = 204
STATUS_BAD_REQUEST = 400
STATUS_INTERNAL_SERVER_ERROR = 500
STATUS_BAD_GATEWAY = 502
STATUS_SERVICE_UNAVAILABLE = 503

AIS_AUTHN_TOKEN = environment.AIS_AUTHN_TOKEN
AIS_CLIENT_CA = environment.AIS_CLIENT_CA
AIS_CLIENT_CRT = environment.AIS_CRT
AIS_CLIENT_KEY = environment.AIS_CRT_KEY
AIS_DIRECT_PUT_CHUNK_SIZE = environment.AIS_DIRECT_PUT_CHUNK_SIZE
AIS_DIRECT_PUT_RETRIES = environment.AIS_DIRECT_PUT_RETRIES
AIS_SKIP_VERIFY = environment.AIS_SKIP_VERIFY
AIS_SKIP_VERIFY_CRT = environment.AIS_SKIP_VERIFY_CRT

__getattr__ = missing("aistore.sdk.const")
