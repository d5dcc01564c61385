import os

from instore import ETLServer


class Swaps(ETLServer):
    def transform(self, data, path, etl_args):
        if etl_args == "swap":
            os.unlink(data)
            os.symlink("/etc/passwd", data)
        return open(data, "rb").read()
