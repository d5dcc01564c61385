"""The echo, in a server that counts nothing: what is left out is what metrics cost."""

from instore import ETLServer
from instore.server.metrics import ObjectCounters


def _count_nothing(*_: object) -> None:
    pass


setattr(ObjectCounters, "ended", _count_nothing)  # noqa: B010  # in place of what counts


class Transform(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        assert isinstance(data, bytes)
        return data
