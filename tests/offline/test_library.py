"""`instore.run`, called as users call it: from scripts, from a running loop, with a class of the script itself."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import instore
from instore.errors import ConfigurationError, JobFailedError
from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.offline.tally import Tally
from tests.offline.support import fill, tree

UPPER = Path(__file__).parents[1] / "transforms" / "upper.py"


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()


def script(text: str, *arguments: str, name: str = "script.py") -> subprocess.CompletedProcess[str]:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(textwrap.dedent(text))
    return subprocess.run([sys.executable, name, *arguments], capture_output=True, text=True, check=False)


def test_a_class_of_the_script_runs_without_a_guard_and_the_script_runs_once() -> None:
    fill(Path("src"), ["a.png", "bad.png", "there.png"])
    fill(Path("dst"), ["there.jpg"])
    done = script("""
        import json
        import instore

        print("the script runs")
        SUFFIX = b"!"

        class Upper(instore.ETLServer):
            def transform(self, data, path, etl_args):
                if b"bad" in data:
                    raise ValueError("it is bad")
                return data.upper() + str(json.loads(etl_args)["side"]).encode() + SUFFIX

        report = instore.run(
            Upper, "src", "dst", workers=2, ext={"png": "jpg"}, args={"side": 256}, continue_on_error=True
        )
        print(report.done, report.already_there, report.failed, report.ok, report.ended)
        for failure in report.failures:
            print(failure.name, failure.result, failure.cause)
            print(*failure.frames)
    """)
    assert done.stdout.splitlines() == [
        "the script runs",
        "1 1 1 False complete",
        "bad.png bad.jpg the transform of 'src/bad.png' failed: ValueError: it is bad",
        'script.py:11 in transform: raise ValueError("it is bad")',
    ], done.stderr
    assert "1 done, 1 already there, 0 skipped, 1 failed" in done.stderr
    assert tree(Path("dst")) == {"a.jpg": b"OBJECT A.PNG256!", "there.jpg": b"object there.jpg"}


@pytest.mark.whole
def test_a_class_that_is_imported_from_beside_the_script_is_found_by_workers() -> None:
    fill(Path("src"), ["a"])
    Path("code").mkdir()
    Path("code/neighbour.py").write_text("def shout(data): return data.upper()\n")
    Path("code/mine.py").write_text(
        "import instore, neighbour\n"
        "class Upper(instore.ETLServer):\n"
        "    def transform(self, data, path, etl_args): return neighbour.shout(data)\n"
    )
    done = script(
        """
        import instore
        from mine import Upper
        instore.run(Upper, "src", "dst", progress=False).raise_if_failed()
        """,
        name="code/script.py",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(Path("dst")) == {"a": b"OBJECT A"}


@pytest.mark.whole
def test_a_script_that_names_its_own_file_as_the_transform_is_told_to_guard_the_call() -> None:
    fill(Path("src"), ["a"])
    done = script("""
        import instore

        class Upper(instore.ETLServer):
            def transform(self, data, path, etl_args):
                return data

        try:
            instore.run("script.py", "src", "dst")
        except instore.errors.ConfigurationError as error:
            print(error)
            raise
    """)
    assert done.returncode == 1
    assert 'under if __name__ == "__main__":' in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.whole
def test_a_job_can_be_awaited_and_can_be_run_where_a_loop_runs() -> None:
    fill(Path("src"), ["a"])

    async def main() -> None:
        first = await instore.arun(UPPER, Path("src"), "dst", progress=False)
        assert (first.done, first.ok) == (1, True)
        second = instore.run(f"{UPPER}:Upper", "src", "dst", progress=False, overwrite=True)
        assert (second.done, second.result_bytes) == (1, 8)

    asyncio.run(main())
    assert tree(Path("dst")) == {"a": b"OBJECT A"}


@pytest.mark.whole
@pytest.mark.parametrize("call", ["run()", "asyncio.run(within_a_loop())"])
def test_an_interrupt_ends_the_workers_and_keeps_what_is_done(call: str) -> None:
    fill(Path("src"), [f"x{number:03}" for number in range(400)])
    code = f"""
        import asyncio, time
        import instore

        class Slow(instore.ETLServer):
            def transform(self, data, path, etl_args):
                time.sleep(0.05)
                return data

        def run():
            instore.run(Slow, "src", "dst", workers=1)

        async def within_a_loop():
            run()

        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
    """
    Path("script.py").write_text(textwrap.dedent(code))
    process = subprocess.Popen([sys.executable, "script.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(Path("dst").glob("x*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert out == "interrupted\n", err
    assert f"{len(tree(Path('dst')))} done, " in err
    assert 0 < len(tree(Path("dst"))) < 400
    assert not list(Path("dst").glob(".*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, "workers is 0; it takes a whole number of at least 1"),
        ({"workers": "2"}, "workers is '2'; it takes a whole number of at least 1"),
        ({"args": 5}, "args is 5; it takes a text, or a mapping that is sent as JSON"),
        ({"args": {"model": object}}, "args can't be written as JSON"),
        ({"ext": "png:jpg"}, "ext is 'png:jpg'; it takes new extensions by old ones"),
        ({"ext": {"png": ""}}, "--ext png: is malformed"),
        ({"overwrite": "no"}, "overwrite is 'no'; it takes True or False"),
        ({"log_level": "error"}, "log_level is 'error'; it takes one of debug, info, warning"),
        ({"transform": 7}, "transform is 7; it takes a class, or a text such as file.py:Class"),
        ({"source": []}, "there is no SRC; name a folder"),
        ({"destination": None}, "no destination is given; only a check needs none"),
        ({"timeout": -1}, "--timeout -1 is no time"),
        ({"max_failures": True}, "max_failures is True; it takes a number or a text"),
        ({"prefix": None}, "prefix is None; it takes a text"),
        ({"report": "src/report.json"}, "lies inside SRC"),
        ({"source": "none"}, "SRC none does not exist"),
        ({"source": 7}, "source is 7; it takes a text or a path"),
        pytest.param({"transform": Path("none.py")}, "none.py", marks=pytest.mark.whole),
        pytest.param({"transform": int}, "int", marks=pytest.mark.whole),
    ],
)
def test_wrong_arguments_are_said_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    fill(Path("src"), ["a"])
    arguments: dict[str, Any] = {"transform": UPPER, "source": "src", "destination": "dst", **options}
    with pytest.raises(ConfigurationError, match=r".") as caught:
        instore.run(**arguments)
    assert sentence in str(caught.value)


def test_an_option_that_there_is_not_is_named() -> None:
    options: Any = {"wrokers": 2}
    with pytest.raises(TypeError, match="no option wrokers; it has args, workers"):
        instore.run(UPPER, "src", "dst", **options)


def test_a_report_raises_when_it_is_asked_to() -> None:
    Tally().report("complete", 0.0).raise_if_failed()
    tally = Tally(keeps_failures=True)
    tally.add(ItemResult(Item("bad", ItemState.TODO), "it is bad", frames=["upper.py:7"]))
    report = tally.report("stopped at the first failure", 0.0)
    with pytest.raises(JobFailedError, match=r"^stopped at the first failure; 1 of 1 objects failed; bad: it is bad$"):
        report.raise_if_failed()
    assert report.failures[0].frames == ("upper.py:7",)
