"""What is kept of memory that is free."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")

# What comes and goes is small enough to be of the heap, and lies at its end.
COME_AND_GO = """
import resource
from instore.system.memory import keep_freed_memory

keep_freed_memory()
for _ in range(10):
    bytearray(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytearray(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> int:
    """Pages that a process has anew while a hundred blocks of 1 MiB come and go."""
    run = subprocess.run(
        [sys.executable, "-c", COME_AND_GO], env=environment, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


def test_a_block_that_comes_behind_one_that_has_gone_has_its_pages() -> None:
    assert faults() < 100


def test_what_the_environment_says_of_it_holds() -> None:
    always_mapped = {"MALLOC_MMAP_THRESHOLD_": str(1 << 17)}
    assert faults(**always_mapped) > 100 * 100
