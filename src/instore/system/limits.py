"""What every process that serves needs."""

import logging
import os
import resource
import sys

from instore.system.memory import keep_freed_memory

_SWITCH = 0.001  # seconds that another thread may keep the interpreter while the event loop has something to do


def prepare_process() -> None:
    """Raise the limit on open files, keep freed memory, and the event loop quick beside threads that compute."""
    raise_file_limit()
    keep_freed_memory()
    sys.setswitchinterval(_SWITCH)


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one (docs/protocol.md#environment)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: the hard limit may be more than the system allows
        logging.getLogger("instore").info("the limit on open files stays as it is: %s", error)


_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> int:
    """Bytes of memory that this process may have: the machine's, or its container's where that has less."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _MEMORY_LIMITS:
        try:
            with open(path) as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            limit = min(limit, int(text))
    return limit
