"""Puts each object a second time, under another name, with the official client."""

import os

from aistore import Client
from aistore.sdk.errors import AISError
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class Rename(FastAPIServer):
    def __init__(self, host="0.0.0.0", port=8000):
        self.client = Client(os.environ["AIS_ENDPOINT"])
        super().__init__(host, port)
        self.copies = Client(os.environ["AIS_ENDPOINT"]).bucket("renamed")

    def transform(self, data, path, etl_args):
        name = f"copy-of-{os.path.basename(path)}"
        try:
            self.copies.object(name).get_writer().put_content(data)
        except AISError as error:
            raise RuntimeError(f"can't rename {path}") from error
        return name.encode()
