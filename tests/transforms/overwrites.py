from instore import ETLServer

NAMES = [name for name in dir(ETLServer) if not name.startswith("_") and not name.startswith("transform")]
NEEDED = ("concurrency", "offered_concurrency", "max_batch_size", "batch_timeout", "get_mime_type")
NEEDED += ("warm_up", "Args", "seekable")


class Overwrites(ETLServer):
    def __init__(self):
        for name in NAMES:
            if name not in (*NEEDED, "environment"):
                setattr(self, name, "mine")
        self.environment = "prod"

    def transform(self, data, path, etl_args):
        return f"{self.environment}: {data.decode()}".encode()
