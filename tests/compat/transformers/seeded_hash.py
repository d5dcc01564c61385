"""A checksum with a seed: the request's, else the container's, else the class's."""

import os
import zlib

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

DEFAULT_SEED = 7


class SeededHash(FastAPIServer):
    def __init__(self, host="0.0.0.0", port=8000):
        super().__init__(host=host, port=port)
        self.seed_default = int(os.getenv("SEED_DEFAULT", str(DEFAULT_SEED)))

    def transform(self, data, path, etl_args):
        seed = int(etl_args) if etl_args else self.seed_default
        return f"{zlib.crc32(data, seed):08x} {seed} {path}".encode()
