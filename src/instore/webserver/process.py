"""What every process that serves a transform needs, whoever started it."""

import logging
import resource
import sys

from instore.webserver.http import BrokenAnswerError

_SWITCH = 0.001  # seconds that a transform may keep the interpreter while the event loop has something to do
_SERVERS = ("uvicorn.error", "gunicorn.error")


def set_up_process() -> None:
    """Raise the limit on open files, keep the event loop quick beside transforms, and keep the log readable."""
    raise_file_limit()
    sys.setswitchinterval(_SWITCH)
    for name in _SERVERS:
        logging.getLogger(name).addFilter(_is_news)  # a filter that is there already is not added again


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one (protocol section 1)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: the hard limit may be more than the system allows
        logging.getLogger("instore").info("the limit on open files stays as it is: %s", error)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the server's stack trace for an answer that we broke ourselves: its reason has been logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], BrokenAnswerError))
