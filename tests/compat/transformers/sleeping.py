import time

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class Sleeping(FastAPIServer):
    def transform(self, data, path, etl_args):
        time.sleep(float(etl_args or 0.05))
        return data[::-1]
