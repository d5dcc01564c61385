import os
import signal
import time

SEEN = os.environ.get("CUDA_VISIBLE_DEVICES", "none")  # as a library sees it that is imported here

from instore import ETLServer  # noqa: E402


class Device(ETLServer):
    def transform(self, data, path, etl_args):
        if data == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if etl_args == "slow":
            time.sleep(0.1)
        return f"{SEEN} {self.device} {os.getpid()}".encode()
