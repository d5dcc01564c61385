"""A command that reads the object from its file where there is one, as ffmpeg would."""

import subprocess

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class Command(FastAPIServer):
    def transform(self, data, path, etl_args):
        order = etl_args.split() or ["-r"]
        if isinstance(data, str):
            done = subprocess.run(["sort", *order, data], capture_output=True, check=True)
        else:
            done = subprocess.run(["sort", *order], input=data, capture_output=True, check=True)
        return done.stdout

    def get_mime_type(self):
        return "audio/wav"
