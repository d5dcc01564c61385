import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from instore import ETLServer
from instore.errors import ConfigurationError
from instore.shipping.class_file import class_file, read_class_file
from instore.webserver.utils import deserialize_class


def test_a_class_goes_through_a_private_file_that_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):  # type: ignore[no-untyped-def]
            return data.upper()

    monkeypatch.setattr(sys, "path", [*sys.path, "bytes-\udcff"])
    with class_file(Upper) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        monkeypatch.setattr(sys, "path", sys.path[:-1])
        found = deserialize_class(read_class_file(path))
        assert sys.path[-1] == os.path.abspath("bytes-\udcff")
    assert found.transform.__code__.co_filename == __file__
    assert os.listdir(tmp_path) == []


def test_a_class_that_can_not_be_pickled_is_said() -> None:
    class Locked(ETLServer):
        lock = threading.Lock()

    with pytest.raises(
        ConfigurationError, match=r"^the class Locked can't be sent to worker processes \(TypeError: .*lock"
    ):
        class_file(Locked).__enter__()


@pytest.mark.parametrize("content", [None, "", "[", "{}", "7"])
def test_a_file_that_is_none_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.instore-class"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match="can't be read as a class that was sent"):
        read_class_file(str(path))
