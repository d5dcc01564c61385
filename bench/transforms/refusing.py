"""Upper case; what begins with `bad` is refused. For `instore check` of servers of every make."""

from instore import ETLServer


class Transform(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        assert isinstance(data, bytes)
        if data.startswith(b"bad"):
            raise ValueError("it is bad")
        return data.upper()
