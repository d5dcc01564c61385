"""What every process that serves a transform needs, whoever started it."""

import logging

from instore.server.http import BrokenResponseError
from instore.system.limits import prepare_process

_SERVERS = ("uvicorn.error", "gunicorn.error")


def set_up_process() -> None:
    """Prepare the process, and keep the log readable."""
    prepare_process()
    for name in _SERVERS:
        logging.getLogger(name).addFilter(_is_news)  # a filter that is there already is not added again


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the server's stack trace for an answer that we broke ourselves: its reason has been logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], BrokenResponseError))
