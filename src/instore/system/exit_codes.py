"""How a process of ours ends, where it isn't 0."""

FAILED = 1
"""An object failed, or the disk."""
CONFIGURATION = 2
"""It can't run: its environment, options or class are wrong, and another try would not help."""
STUCK = 75
"""Transforms that never end hold all its threads: another process in its place would serve."""
NOT_EXECUTABLE = 126
"""A command can't be run; as a shell has it."""
NOT_FOUND = 127
"""There is no such command; as a shell has it."""


def of_signal(number: int) -> int:
    """The exit code of a process that a signal ended; as a shell has it."""
    return 128 + number
