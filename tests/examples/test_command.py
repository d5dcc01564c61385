import gzip
from pathlib import Path

import pytest

from tests.examples.support import EXAMPLES, airports, gather, load, names_in, python_sources, run_command


@pytest.mark.parametrize("environment", [{}, {"ETL_DIRECT_FQN": "true"}], ids=["bytes", "path"])
def test_every_file_goes_through_the_tool(tmp_path: Path, environment: dict[str, str]) -> None:
    texts = gather(tmp_path / "texts", airports())
    (texts / "python sources.txt").write_bytes(python_sources(3_000_000))
    (texts / "empty").touch()
    run_command("command.py", texts, tmp_path / "packed", "--ext", "csv:gz", **environment)
    assert names_in(tmp_path / "packed") == ["airports.gz", "empty", "python sources.txt"]
    for name, original in [("airports.gz", "airports.csv"), ("empty", "empty"), ("python sources.txt",) * 2]:
        assert gzip.decompress((tmp_path / "packed" / name).read_bytes()) == (texts / original).read_bytes()


def test_path_of_a_file_gives_the_same_as_its_bytes() -> None:
    example = load("command.py")
    assert example.transform(str(airports()), "", "") == example.transform(airports().read_bytes(), "", "")


def test_path_is_what_the_tool_gets_under_direct_fqn(tmp_path: Path) -> None:
    texts = gather(tmp_path / "texts", airports())
    wc = tmp_path / "wc.py"
    wc.write_text((EXAMPLES / "command.py").read_text().replace('["gzip", "-c", "-n"]', '["wc", "-c"]'))
    run_command(str(wc), texts, tmp_path / "counts", ETL_DIRECT_FQN="true")
    count, path = (tmp_path / "counts" / "airports.csv").read_text().split(maxsplit=1)
    assert (int(count), Path(path.strip())) == (airports().stat().st_size, texts / "airports.csv")


def test_tool_that_fails_is_reported_in_its_own_words() -> None:
    with pytest.raises(RuntimeError, match=r"^gzip failed with exit code 1: .*/no/such/file.*: No such file"):
        load("command.py").transform("/no/such/file", "", "")


def test_missing_tool_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"^the command 'gzip' is not on the PATH; install it$"):
        load("command.py")
