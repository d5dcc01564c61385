"""Run a command-line tool on every file, here `gzip`; put your own in COMMAND.

    ETL_DIRECT_FQN=true instore transform examples/command.py texts packed --ext txt:gz

The tool writes the result to its standard output. With ETL_DIRECT_FQN=true it gets the path of the file as its last
argument, so that nothing is copied on the way in; without, or where there is no file, it gets the bytes as its
standard input.
"""

import shutil
import subprocess

from instore import ETLServer

COMMAND = ["gzip", "-c", "-n"]


class Command(ETLServer):
    concurrency = 4  # the tool works in a process of its own, and nothing is kept on self

    def __init__(self) -> None:
        super().__init__()
        if shutil.which(COMMAND[0]) is None:
            raise FileNotFoundError(f"the command {COMMAND[0]!r} is not on the PATH; install it")

    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        if isinstance(data, str):
            done = subprocess.run([*COMMAND, data], stdin=subprocess.DEVNULL, capture_output=True)
        else:
            done = subprocess.run(COMMAND, input=data, capture_output=True)
        if done.returncode != 0:
            complaint = done.stderr.decode(errors="replace").strip()
            raise RuntimeError(f"{COMMAND[0]} failed with exit code {done.returncode}: {complaint}")
        return done.stdout
