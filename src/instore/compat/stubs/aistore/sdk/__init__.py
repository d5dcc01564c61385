"""`aistore.sdk`, where the official package is not installed."""

from instore.compat.missing import missing

__getattr__ = missing("aistore.sdk")
