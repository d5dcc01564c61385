import bz2
import gzip
import json

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

CODECS = {
    ("gzip", "compress"): lambda data: gzip.compress(data, mtime=0),
    ("gzip", "decompress"): gzip.decompress,
    ("bz2", "compress"): bz2.compress,
    ("bz2", "decompress"): bz2.decompress,
}


class Compress(FastAPIServer):
    def transform(self, data, path, etl_args):
        options = {"compression": "gzip", "mode": "compress", **(json.loads(etl_args) if etl_args else {})}
        return CODECS[options["compression"], options["mode"]](data)

    def get_mime_type(self):
        return "application/x-compressed"
