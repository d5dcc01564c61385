"""What every process that serves needs."""

import logging
import resource
import sys

_SWITCH = 0.001  # seconds that another thread may keep the interpreter while the event loop has something to do


def prepare_process() -> None:
    """Raise the limit on open files, and keep the event loop quick beside threads that compute."""
    raise_file_limit()
    sys.setswitchinterval(_SWITCH)


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one (docs/protocol.md#environment)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: the hard limit may be more than the system allows
        logging.getLogger("instore").info("the limit on open files stays as it is: %s", error)
