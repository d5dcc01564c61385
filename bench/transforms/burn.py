"""A transform that burns CPU in pure Python, and never lets go of the interpreter's lock by itself.

How many rounds it takes is the request's to say, so that one class serves short and long work.
"""

from instore import ETLServer


class Transform(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        rest = 1
        for number in range(int(etl_args)):
            rest = (rest * 31 + number) % 1000003
        assert isinstance(data, bytes)
        return data if rest >= 0 else b""
