"""`instore try`: one object through a real worker, what is shown of it, and the debugger."""

import base64
import io
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from instore.cli import main
from instore.cli.pictures import show
from instore.runtime.changes import Saves

TRANSFORM = """
    from instore import ETLServer

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if etl_args == "print":
                print("seen")
            if etl_args == "raise":
                raise ValueError("upside down")
            return data.upper() if etl_args != "binary" else bytes(20)

        def get_mime_type(self):
            return "text/x-loud"
"""
STREAMS = """
    from instore import ETLServer

    class Streamed(ETLServer):
        def transform_stream(self, reader, path, etl_args):
            yield from reader

    class AsyncStreamed(ETLServer):
        async def transform_stream(self, reader, path, etl_args):
            async for line in reader:
                yield line
            if etl_args == "raise":
                raise ValueError("upside down")
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("o.txt").write_text("an object\n")


def run(*arguments: str, data: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["try", *arguments], input=data)


def test_a_text_is_shown_with_its_type_sizes_and_time() -> None:
    done = run("upper.py", "o.txt", "--args", "print")
    assert done.exit_code == 0
    assert done.stdout == "AN OBJECT\n"
    printed, summary = done.stderr.splitlines()
    assert printed == "[o.txt] seen"
    assert summary.startswith("o.txt: text/x-loud, 10 bytes in, 10 bytes out, ")
    assert summary.endswith(" ms")


def test_a_failure_says_where_in_the_user_s_code_it_comes_from() -> None:
    done = run("upper.py:Upper", "o.txt", "--args", "raise")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "failed o.txt: the transform of 'o.txt' failed: ValueError: upside down",
        '  at upper.py:9 in transform: raise ValueError("upside down")',
    ]


@pytest.mark.whole
def test_standard_input_goes_to_standard_output() -> None:
    done = run("upper.py", "-", "-o", "-", data=b"from a pipe")
    assert done.stdout == "FROM A PIPE"
    assert "stdin: text/x-loud" in done.stderr


@pytest.mark.whole
def test_a_pipe_is_read_once() -> None:
    os.mkfifo("pipe")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(Path("pipe").write_bytes, b"piped")
        assert run("upper.py", "pipe").stdout == "PIPED\n"


@pytest.mark.whole
def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    Path("slow.py").write_text(textwrap.dedent(TRANSFORM).replace("data.upper()", "__import__('time').sleep(600)"))
    command = [sys.executable, "-m", "instore", "try", "slow.py", "o.txt"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}) as process:
        while not list((tmp_path / "tmp").glob("*/log")):
            time.sleep(0.01)
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.whole
def test_a_result_is_written_whole_and_replaces_what_was_there() -> None:
    Path("there.txt").write_text("something else")
    assert run("upper.py", "o.txt", "-o", "there.txt").exit_code == 0
    assert Path("there.txt").read_text() == "AN OBJECT\n"
    assert set(os.listdir()) - {"__pycache__"} == {"o.txt", "there.txt", "upper.py"}
    done = run("upper.py", "o.txt", "-o", "no/such/folder")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        2,
        "instore: can't write no/such/folder: No such file or directory",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["upper.py", "none.txt"], "File 'none.txt' does not exist"),
        (["upper.py", "-", "--watch"], "--watch and --pdb need a file"),
        (["upper.py", "o.txt", "--watch", "--pdb"], "leave one of them out"),
        (["none.py", "o.txt"], "there is no file none.py"),
    ],
)
def test_what_can_not_be_tried_is_one_sentence_and_code_2(arguments: Sequence[str], sentence: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr.splitlines()[-1]


def test_a_missing_library_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = run("upper.py", "o.txt", "--watch")
    assert done.exit_code == 2
    assert "pip install 'instore[watch]'" in done.stderr


def test_it_is_tried_again_at_each_save() -> None:
    command = [sys.executable, "-m", "instore", "try", "upper.py", "o.txt", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")

        def output() -> str:
            return "".join(iter(lambda: next(lines), "waiting for a save; Ctrl-C ends\n"))

        assert "AN OBJECT" in output()
        Path("upper.py").write_text("class broken(:")
        assert "SyntaxError" in output()
        Path("new.py").write_text(textwrap.dedent(TRANSFORM))
        os.replace("new.py", "upper.py")  # as many editors save
        assert "AN OBJECT" in output()
        Path("o.txt").write_text("another")
        assert "ANOTHER" in output()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def debug(*arguments: str, commands: str = "p path\nq\n") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "instore", "try", *arguments, "--pdb"]
    return subprocess.run(command, input=commands, capture_output=True, text=True)


@pytest.mark.parametrize("transform", ["upper.py", pytest.param("streams.py:AsyncStreamed", marks=pytest.mark.whole)])
def test_the_debugger_stands_where_the_exception_was_raised(transform: str) -> None:
    Path("streams.py").write_text(textwrap.dedent(STREAMS))
    done = debug(transform, "o.txt", "--args", "raise")
    assert done.returncode == 1
    assert '-> raise ValueError("upside down")' in done.stdout
    assert "'o.txt'" in done.stdout


@pytest.mark.whole
def test_the_debugger_says_so_where_there_is_no_exception() -> None:
    Path("streams.py").write_text(textwrap.dedent(STREAMS))
    done = debug("streams.py:Streamed", "o.txt")
    assert (done.returncode, done.stderr) == (0, "o.txt: no exception, 10 bytes out\n")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"a\tb\r\n\x1b[31mred", "a       b\n\\x1b[31mred\n"),
        (b"", ""),
        (b"\xff\xd8\xff", "not text; it begins ff d8 ff; -o FILE keeps it\n"),
        (bytes(17), f"not text; it begins {'00 ' * 16}…; -o FILE keeps it\n"),
        (b"x" * 5000, "x" * 4000 + "\n… and 1000 characters more; -o FILE keeps all of it\n"),
        (b"x\n" * 41, "x\n" * 40 + "… and 3 characters more; -o FILE keeps all of it\n"),
    ],
    ids=["escapes", "empty", "binary", "long-binary", "long-line", "many-lines"],
)
def test_what_is_shown_is_bounded_and_safe_for_a_terminal(
    data: bytes, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(data, "text/plain")
    assert capsys.readouterr().out == shown


def picture(kind: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(made, kind)
    return made.getvalue()


def drawn(data: bytes, monkeypatch: pytest.MonkeyPatch, **variables: str) -> bytes:
    """What a terminal gets."""
    for name, value in {"TERM": "xterm", "TERM_PROGRAM": "", **variables}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    got: list[bytes] = []

    def read() -> None:
        while not got or b"END" not in got[-1]:
            got.append(os.read(ours, 1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        show(data, "image/jpeg")
        terminal.write("END")
        terminal.flush()
        reader.join()
    os.close(ours)
    return b"".join(got)


def test_a_picture_is_drawn_where_the_terminal_can(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = picture("JPEG")
    assert base64.b64encode(jpeg) + b"\a" in drawn(jpeg, monkeypatch, TERM_PROGRAM="iTerm.app")
    kitty = drawn(picture("PNG"), monkeypatch, TERM="xterm-kitty")
    assert kitty.startswith(b"\x1b_Ga=T,f=100,m=0;" + base64.b64encode(picture("PNG")))
    assert drawn(jpeg, monkeypatch, TERM="xterm-kitty").startswith(b"\x1b_Ga=T,f=100,m=0;iVBOR")
    assert drawn(b"no picture", monkeypatch, TERM="xterm-kitty").startswith(b"no picture")
    assert drawn(jpeg, monkeypatch).startswith(b"not text; it begins ff d8")


def test_a_module_that_the_transform_imports_counts_as_saved() -> None:
    Path("upper.py").write_text("import helper\n" + textwrap.dedent(TRANSFORM))
    Path("helper.py").write_text("")
    saves = Saves("upper.py")
    Path("helper.py").write_text("# saved before anybody waits")
    saves.wait()
    Path("upper.py").write_text("class broken(:")
    saves.wait()
    Path("helper.py").write_text("# saved while the transform can't be read")
    saves.wait()


@pytest.mark.parametrize("options", [["o.txt"], ["--args", "1"], ["-o", "r.txt"], ["--watch"], ["--pdb"]])
def test_the_page_takes_files_and_arguments_itself(options: list[str]) -> None:
    done = run("upper.py", "--ui", *options)
    assert done.exit_code == 2
    assert "--ui takes the file and the arguments on its page" in done.stderr


def test_without_a_page_there_must_be_a_file() -> None:
    done = run("upper.py")
    assert done.exit_code == 2
    assert "Missing argument 'FILE'" in done.stderr


NAMED = """
    from instore import ETLServer, Result, Skip

    class Parts(ETLServer):
        def transform_many(self, data, path, etl_args):
            if etl_args == "skip":
                raise Skip("too small")
            for number, word in enumerate(data.split()):
                yield Result(word, name=f"{self.object.name}/{number}.txt" if etl_args != "named" else "d/x")

    class Named(ETLServer):
        def transform(self, data, path, etl_args):
            return Result(data, name="d/other.txt", content_type="text/plain", metadata={"words": "2"})
"""


def test_each_of_several_results_is_shown_and_written_below_a_folder() -> None:
    Path("named.py").write_text(textwrap.dedent(NAMED))
    shown = CliRunner().invoke(main, ["try", "named.py:Parts", "o.txt"])
    assert shown.exit_code == 0, shown.stderr
    assert "o.txt: 2 results, 10 bytes in, 8 bytes out, " in shown.stderr
    assert "o.txt/0.txt: application/octet-stream, 2 bytes" in shown.stderr
    written = CliRunner().invoke(main, ["try", "named.py:Parts", "o.txt", "-o", "parts"])
    assert written.exit_code == 0, written.stderr
    assert {str(path): path.read_bytes() for path in Path("parts").rglob("*.txt") if path.is_file()} == {
        "parts/o.txt/0.txt": b"an",
        "parts/o.txt/1.txt": b"object",
    }


def test_a_results_name_and_metadata_are_shown_and_a_skip_is_no_failure() -> None:
    Path("named.py").write_text(textwrap.dedent(NAMED))
    shown = CliRunner().invoke(main, ["try", "named.py:Named", "o.txt", "-o", "out.txt"])
    assert shown.exit_code == 0, shown.stderr
    assert "d/other.txt: text/plain, 10 bytes, words=2" in shown.stderr
    assert Path("out.txt").read_bytes() == b"an object\n"
    skipped = CliRunner().invoke(main, ["try", "named.py:Parts", "o.txt", "--args", "skip"])
    assert (skipped.exit_code, skipped.stderr) == (0, "o.txt: skipped: too small\n")
