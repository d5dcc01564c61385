import json
import threading
import time

from instore import ETLServer


class Batched(ETLServer):
    """Each result tells its object, and how many were in the batch; objects say what is to go wrong."""

    max_batch_size = 8
    batch_timeout = 0.3

    def __init__(self):
        super().__init__()
        self.running = threading.Semaphore(1)

    def transform_batch(self, objects, paths, etl_args):
        if not self.running.acquire(blocking=False):
            raise SystemExit("two batches at once")
        try:
            return self._results(objects, paths, etl_args)
        finally:
            self.running.release()

    def _results(self, objects, paths, etl_args):
        if etl_args.startswith("sleep"):
            time.sleep(float(etl_args.split()[1]))
        if etl_args == "one too few":
            return [b"x"] * (len(objects) - 1)
        if etl_args == "no list":
            return b"x" * len(objects)
        if b"poison" in objects:
            raise ValueError("one of these is poisoned")
        return [
            ValueError("this one is sour")
            if data == b"sour"
            else 42
            if data == b"number"
            else self._told(data, path, len(objects))
            for data, path in zip(objects, paths, strict=True)
        ]

    def _told(self, data, path, size):
        return json.dumps({"data": data.decode(), "path": path, "size": size}).encode()
