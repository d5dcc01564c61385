"""Standard input, output and error, any of which may be closed when a process starts."""

import os
import sys


def open_closed_streams() -> None:
    """Put /dev/null in the place of each that is closed: else the next file would get its number, and our output."""
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # open for as long as the process
