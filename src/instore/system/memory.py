"""How the C library keeps memory that is free."""

import ctypes
import os

# glibc's mallopt(3): https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 32 << 20  # bytes at the end of the heap
_MAPPED = 4 << 20  # bytes of a block, from where it is a mapping of its own, and given back at once
_OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> None:
    """Have up to 32 MiB of freed memory kept for what comes next, unless the environment says otherwise.

    By default glibc gives back what is free at the end of the heap beyond 128 KiB. A body that comes and goes then has
    the kernel take its pages away, and clear new ones for the next: more work than all else that is done for 64 KiB.
    """
    if any(name in os.environ for name in _OWN_SETTINGS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none, or one that does nothing
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _MAPPED)
