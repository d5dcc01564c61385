import hashlib

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class MD5(FastAPIServer):
    def transform(self, data, path, etl_args):
        self.logger.debug("md5 of %s", path)
        return hashlib.md5(data).hexdigest().encode()

    def get_mime_type(self):
        return "text/plain"
