import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from instore.errors import ConfigurationError
from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.offline.report import FORMATS, LinesReport, Report, failed_names, open_report


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


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("path", ["", "none/report", "file/report"])
def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path, path: str, form: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--report"):
        open_report(str(tmp_path / path), form, {})


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


def done(name: str) -> ItemResult:
    return ItemResult(Item(name, ItemState.TODO, "", name, f"/{name}", 5), "", 6, 0.25)


def failed(name: str) -> ItemResult:
    return ItemResult(Item(name, ItemState.TODO, "", name), "it is bad", None, 0.1, ["upper.py:7"])


def test_lines_are_whole_at_every_moment_and_stay_behind_those_of_the_job_before(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"

    def lines() -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    first = open_report(str(path), "", {"transform": "upper.py"})
    assert lines() == [{"job": {"transform": "upper.py"}}]
    first.add(done("a"))
    first.add(failed("bytes-\udcff\n"))
    assert lines()[1:] == [
        {"name": "a", "outcome": "done", "error": None, "result": "a",
         "source_bytes": 5, "result_bytes": 6, "seconds": 0.25},
        {"name": "bytes-\udcff\n", "outcome": "failed", "error": "it is bad", "result": "bytes-\udcff\n",
         "source_bytes": 0, "result_bytes": None, "seconds": 0.1, "frames": ["upper.py:7"]},
    ]  # fmt: skip
    first.discard()  # as after a kill: there is no summary
    second = open_report(str(path), "", {"transform": "upper.py"})
    second.add(done("b"))
    second.close({"done": 1})
    second.discard()
    assert [next(iter(line)) for line in lines()] == ["job", "name", "name", "job", "name", "summary"]


def test_a_line_that_a_full_disk_cut_short_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    open_report(str(path), "", {}).add(failed("a"))
    with path.open("a") as file:
        file.write('{"name": "b", "outc')
    assert failed_names(str(path)) == ["a"]
    open_report(str(path), "", {}).add(failed("c"))
    assert failed_names(str(path)) == ["a", "c"]


def test_lines_are_not_put_behind_something_else(tmp_path: Path) -> None:
    (tmp_path / "names.jsonl").write_text('{"name": "a"}\n')
    with pytest.raises(ConfigurationError, match="has something else than a report; name another file"):
        open_report(str(tmp_path / "names.jsonl"), "", {})
    assert (tmp_path / "names.jsonl").read_text() == '{"name": "a"}\n'


def test_lines_go_to_a_pipe_as_they_come(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit((tmp_path / "pipe").open)
        report = open_report(str(tmp_path / "pipe"), "jsonl", {})
        assert isinstance(report, LinesReport)
        report.add(done("a"))
        with opened.result() as pipe:
            assert [next(iter(json.loads(pipe.readline()))) for _ in range(2)] == ["job", "name"]
            report.close({})
            assert json.loads(pipe.read()) == {"summary": {}}


@pytest.mark.parametrize("form", FORMATS)
def test_the_objects_that_failed_last_are_read_from_a_report(tmp_path: Path, form: str) -> None:
    for results in ([failed("a"), failed("bytes-\udcff"), done("c")], [failed("bytes-\udcff"), failed("d"), done("a")]):
        report = open_report(str(tmp_path / "report"), form, {})
        for result in results:
            report.add(result)
        report.close({})
    assert failed_names(str(tmp_path / "report")) == ["bytes-\udcff", "d"]


@pytest.mark.parametrize(
    "content", ["", "a\nb\n", '{"objects": [', '{"objects": [7]}', "\xff", '{"job": {}}\n{"name": 1}\n']
)
def test_what_is_no_report_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "report").write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"^--retry-failed .*report is no report of a job"):
        failed_names(str(tmp_path / "report"))
    with pytest.raises(ConfigurationError, match=r"can't be read: No such file"):
        failed_names(str(tmp_path / "none"))
