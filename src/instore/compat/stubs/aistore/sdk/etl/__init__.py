"""`aistore.sdk.etl`, where the official package is not installed."""

from instore.compat.missing import missing
from instore.webserver.utils import serialize_class as serialize_class

__getattr__ = missing("aistore.sdk.etl")
