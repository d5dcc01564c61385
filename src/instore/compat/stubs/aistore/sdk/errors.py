"""The errors of `aistore.sdk.errors` that a transform raises, where the official package is not installed."""

from instore.compat.missing import missing
from instore.errors import ETLDirectPutTransientError as ETLDirectPutTransientError
from instore.errors import InvalidPipelineError as InvalidPipelineError

__getattr__ = missing("aistore.sdk.errors")
