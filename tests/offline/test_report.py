import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.offline.report import Report


def test_a_report_without_objects_is_json(tmp_path: Path) -> None:
    report = Report(str(tmp_path / "report"))
    report.close({"done": 0})
    assert json.loads((tmp_path / "report").read_text()) == {"objects": [], "summary": {"done": 0}}


def test_a_report_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("the last one")
    report = Report(str(tmp_path / "report"))
    report.add(ItemResult(Item("bytes-\udcff\n", ItemState.SKIPPED, "a pipe")))
    report.add(ItemResult(Item("b", ItemState.TODO, "", "c", "/b", 5), "", 6, 0.25))
    assert (tmp_path / "report").read_text() == "the last one"
    report.close({})
    report.discard()
    assert json.loads((tmp_path / "report").read_text())["objects"] == [
        {"name": "bytes-\udcff\n", "outcome": "skipped", "error": "a pipe", "result": None,
         "source_bytes": 0, "result_bytes": None, "seconds": None},
        {"name": "b", "outcome": "done", "error": None, "result": "c",
         "source_bytes": 5, "result_bytes": 6, "seconds": 0.25},
    ]  # fmt: skip
    assert os.listdir(tmp_path) == ["report"]


def test_a_discarded_report_leaves_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("the last one")
    Report(str(tmp_path / "report")).discard()
    assert os.listdir(tmp_path) == ["report"]
    assert (tmp_path / "report").read_text() == "the last one"


@pytest.mark.parametrize("path", ["", "none/report", "file/report"])
def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--report"):
        Report(str(tmp_path / path))


def test_a_report_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("the last one")
    (tmp_path / "link").symlink_to("real")
    report = Report(str(tmp_path / "link"))
    report.close({"done": 0})
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "real").read_text())["summary"] == {"done": 0}


def test_a_report_is_written_to_a_pipe_as_it_comes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        report = Report(str(tmp_path / "pipe"))
        report.add(ItemResult(Item("b", ItemState.TODO), "", 6, 0.25))
        report.close({"done": 1})
        assert json.loads(read.result())["summary"] == {"done": 1}
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_report_that_is_given_up_leaves_a_pipe_where_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        Report(str(tmp_path / "pipe")).discard()
        assert read.result() == ""
    assert os.listdir(tmp_path) == ["pipe"]
