"""Makes the payloads in this folder: `python make.py`, with a Python that has AIStore's SDK and not instore.

Each holds the class `Shout` of the script below, as the SDK's `serialize_class` ships it from that version of Python.
"""

import platform
from pathlib import Path
from typing import Any

from aistore.sdk.etl.webserver import serialize_class

SCRIPT = """
import json
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

MARKS = {"!": 3}

def shout(text):
    return text.upper()

def repeated(times):
    return lambda mark: mark * times

class Base(FastAPIServer):
    def get_mime_type(self):
        return "application/json"

class Shout(Base):
    def __init__(self):
        super().__init__()
        self.repeat = repeated(MARKS["!"])

    def transform(self, data, path, etl_args):
        words = [shout(word) for word in data.decode().split() if word]
        try:
            return json.dumps({"path": path, "words": words, "end": self.repeat("!")}).encode()
        except TypeError as error:
            raise ValueError(str(error)) from error
"""

if __name__ == "__main__":
    main: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(SCRIPT, "shout.py", "exec"), main)
    version = ".".join(platform.python_version_tuple()[:2])
    Path(__file__).with_name(f"python-{version}.txt").write_text(serialize_class(main["Shout"]) + "\n")
