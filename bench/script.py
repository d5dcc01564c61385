"""What people write today in place of `instore transform`: a pool of processes over a folder, each result renamed."""

import multiprocessing
import os
import sys
from functools import partial


def _echo(source: str, destination: str, name: str) -> None:
    with open(os.path.join(source, name), "rb") as file:
        data = file.read()
    result = os.path.join(destination, name)
    os.makedirs(os.path.dirname(result), exist_ok=True)
    with open(result + ".partial", "wb") as file:
        file.write(data)
    os.rename(result + ".partial", result)


def main(source: str, destination: str) -> None:
    """Every file of one folder into another."""
    names = [os.path.relpath(os.path.join(at, name), source) for at, _, files in os.walk(source) for name in files]
    with multiprocessing.Pool() as pool:
        pool.map(partial(_echo, source, destination), names)


if __name__ == "__main__":
    main(*sys.argv[1:])
