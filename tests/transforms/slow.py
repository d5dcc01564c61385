import time

from instore import ETLServer


class Slow(ETLServer):
    concurrency = 16

    def transform(self, data, path, etl_args):
        time.sleep(float(etl_args or 0.01))
        return b"<" + data + b">"
