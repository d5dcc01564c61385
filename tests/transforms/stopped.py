import os
import signal
import threading

from instore import ETLServer


def stop():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class Stopped(ETLServer):
    def __init__(self):
        super().__init__()
        threading.Thread(target=stop, daemon=True).start()

    def transform(self, data, path, etl_args):
        return data
