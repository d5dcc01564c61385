import time

from instore import ETLServer


class Echo(ETLServer):
    concurrency = 4

    def transform(self, data, path, etl_args):
        if etl_args.startswith("sleep"):
            time.sleep(float(etl_args.split()[1]))
        if etl_args == "raise":
            raise ValueError("no " + "x" * 300 + self.host_target)
        return data
