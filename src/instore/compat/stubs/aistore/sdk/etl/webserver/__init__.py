"""`aistore.sdk.etl.webserver`, from instore."""

from instore.webserver.utils import serialize_class

__all__ = ["serialize_class"]
