import json
import os
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
