"""A transform that waits, as one does that asks another service."""

import time

from instore import ETLServer


class Transform(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        time.sleep(0.5)
        assert isinstance(data, bytes)
        return data
