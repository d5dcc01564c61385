"""`instore try TRANSFORM FILE`: one object through a real worker, or through the debugger in this process."""

import asyncio
import inspect
import io
import os
import pdb
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from instore.cli.completion import PLACE
from instore.cli.pictures import show
from instore.errors import ConfigurationError, Skip
from instore.offline.output import is_users
from instore.protocol.environment import AIS_TARGET_URL, NO_TARGET, Environment
from instore.protocol.headers import DEFAULT_MIME_TYPE, RESULTS_TYPE
from instore.runtime.changes import Saves, check_watching
from instore.runtime.load import load_class
from instore.server.contract import Shape, Transform
from instore.server.prints import frames_of
from instore.server.readers import BytesReader, ThreadedReader
from instore.server.user_results import Result
from instore.system import exit_codes
from instore.system.files import write_all
from instore.system.printable import printable, say
from instore.system.signals import ended_by_sigterm
from instore.testing.answers import Answer
from instore.testing.server import Server, is_read_by_servers
from instore.webserver.base_etl_server import bind

_STANDARD = "-"


@dataclass(frozen=True, slots=True)
class _Trial:
    """What is tried.

    Attributes:
        transform: TRANSFORM.
        file: the object's; `-` is standard input.
        output: where the result goes; empty: it is shown; `-` is standard output.
        etl_args: the request's.
        data: the object.
    """

    transform: str
    file: str
    output: str
    etl_args: str
    data: bytes

    @property
    def name(self) -> str:
        return "stdin" if self.file == _STANDARD else Path(self.file).name


@click.command("try", short_help="Try a transform on one object.")
@click.argument("transform", type=PLACE)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True))
@click.option("-o", "--output", default="", metavar="FILE", help="Write the result there; - is standard output.")
@click.option("--args", "etl_args", default="", metavar="TEXT", help="Arguments of the transform, its etl_args.")
@click.option("--watch", is_flag=True, help="Try again whenever the code or FILE is saved.")
@click.option("--pdb", "debug", is_flag=True, help="Debug the exception, in this process.")
def try_(transform: str, file: str, output: str, etl_args: str, watch: bool, debug: bool) -> None:
    """Put one object, the contents of FILE, through TRANSFORM, and show what comes of it. FILE may be -.

    TRANSFORM is file.py, file.py:Class or package.module:Class. It is served by a worker, as in a cluster.

    \b
    instore try thumbs.py photo.jpg -o small.jpg --args 256 --watch

    Several results are each shown, or written below the folder that -o names.

    Exit codes: 0 there is a result, or the object is skipped; 1 the object failed; 2 the command can't run.
    """
    if file == _STANDARD and (watch or debug):
        raise ConfigurationError("--watch and --pdb need a file: standard input can be read once, and by one reader")
    if watch and debug:
        raise ConfigurationError("--pdb looks at one run, --watch makes many; leave one of them out")
    if debug:
        sys.exit(_debug(_read(transform, file, output, etl_args)))
    with ended_by_sigterm():
        if watch:
            check_watching("--watch")
            _try_at_each_save(transform, file, output, etl_args)
        sys.exit(_try_once(_read(transform, file, output, etl_args)))


def _read(transform: str, file: str, output: str, etl_args: str) -> _Trial:
    try:
        data = sys.stdin.buffer.read() if file == _STANDARD else Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"can't read {printable(file)}: {error.strerror}") from error
    return _Trial(transform, file, output, etl_args, data)


def _try_at_each_save(transform: str, file: str, output: str, etl_args: str) -> None:
    """Until it is interrupted, which is how it ends."""
    saves = Saves(transform, file)
    try:
        while True:
            try:
                _try_once(_read(transform, file, output, etl_args))
            except ConfigurationError as error:
                click.echo(f"instore: {error}", err=True)
            click.echo("waiting for a save; Ctrl-C ends", err=True)
            saves.wait()
    except KeyboardInterrupt:
        sys.exit(0)


def _try_once(trial: _Trial) -> int:
    # As `instore transform` has it: the worker's variables are ours.
    variables = {name: value for name, value in os.environ.items() if is_read_by_servers(name)}
    with Server(trial.transform, variables, timeout=None, start_timeout=None) as server:
        answer = _ask(server, trial)
        log = server.log
    for line in log.splitlines():
        if is_users(line):
            click.echo(printable(line), err=True)
    if answer.skipped:
        click.echo(f"{printable(trial.name)}: {printable(answer.error)}", err=True)
        return 0
    if answer.result is None and answer.error:
        return _fail(trial, answer.error, answer.frames)
    return _succeed(trial, answer)


def _ask(server: Server, trial: _Trial) -> Answer:
    if not os.path.isfile(trial.file):  # standard input or a pipe, which is read already
        return server.put(trial.name, trial.data, trial.etl_args, results=True)
    return server.file(trial.file, trial.etl_args, trial.name, results=True)


def _succeed(trial: _Trial, answer: Answer) -> int:
    kind = answer.headers.get("content-type", DEFAULT_MIME_TYPE)
    results = answer.results if kind == RESULTS_TYPE else (Result(answer.body, content_type=kind),)
    size = sum(len(result.data) for result in results)
    what = results[0].content_type if len(results) == 1 else f"{len(results)} results"
    bytes_ = f"{len(trial.data)} bytes in, {size} bytes out"
    click.echo(f"{printable(trial.name)}: {what}, {bytes_}, {1000 * answer.seconds:.1f} ms", err=True)
    for result in results:
        if result.name or result.metadata:
            click.echo(_described(result), err=True)
        _give(trial, result, is_only=answer.result is not None)
    return 0


def _described(result: Result) -> str:
    """A result's name, and what is said of it."""
    metadata = "".join(f", {name}={value}" for name, value in sorted(result.metadata.items()))
    return printable(f"{result.name or 'its result'}: {result.content_type}, {len(result.data)} bytes{metadata}")


def _give(trial: _Trial, result: Result, is_only: bool) -> None:
    """Show a result, or write it where it is to go: several below a folder."""
    data = bytes(result.data) if not isinstance(result.data, str) else result.data.encode()
    if not trial.output:
        show(data, result.content_type)
    elif trial.output == _STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    elif is_only:
        _write(Path(trial.output), data)
    else:
        path = Path(trial.output, result.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"can't make {printable(str(path.parent))}: {error.strerror}; -o is a folder where results are several"
            ) from error
        _write(path, data)


def _fail(trial: _Trial, error: str, frames: tuple[str, ...]) -> int:
    click.echo(f"failed {printable(trial.name)}: {printable(error)}", err=True)
    for frame in frames:
        click.echo(printable(f"  at {frame}"), err=True)
    return exit_codes.FAILED


def _write(path: Path, data: bytes) -> None:
    """Write a file whole, or not at all."""
    whole = path.with_name(f".{path.name}.{os.getpid()}.partial")
    place = whole if path.is_file() or not path.exists() else path  # a device or a pipe can't be replaced
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(file, data)
        finally:
            os.close(file)
        if place is whole:
            os.replace(whole, path)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise ConfigurationError(f"can't write {printable(str(path))}: {error.strerror}") from error


def _debug(trial: _Trial) -> int:
    """Transform in this process, and let a person look at the exception."""
    os.environ.setdefault(AIS_TARGET_URL, NO_TARGET)
    cls = load_class(trial.transform)
    try:
        results = _transform(bind(cls()), trial)
    except Skip as skip:
        click.echo(f"{printable(trial.name)}: {printable(str(skip))}", err=True)
        return 0
    except Exception as error:
        traceback.print_exception(error)
        click.echo(f"failed {printable(trial.name)}: {printable(say(error))}", err=True)
        for frame in frames_of(error):
            click.echo(printable(f"  at {frame}"), err=True)
        pdb.post_mortem(error.__traceback__)
        return exit_codes.FAILED
    size = sum(len(one.data if isinstance(one, Result) else one) for one in results)
    click.echo(f"{printable(trial.name)}: no exception, {size} bytes out", err=True)
    return 0


def _transform(transform: Transform, trial: _Trial) -> list[Any]:
    """The results, made as a server makes them; an exception comes out as it is."""
    args = transform.decode_args(trial.etl_args)
    if transform.shape is Shape.STREAM:
        with ThreadPoolExecutor(1) as threads:
            return [_stream(transform, trial, args, threads)]
    data = trial.file if Environment.read(os.environ).direct_fqn else trial.data
    if transform.shape is Shape.BATCH:
        (result,) = _made(transform.method([data], [trial.name], args))
        if isinstance(result, Exception):
            raise result
        return [result]
    made = _made(transform.method(data, trial.name, args))
    if transform.shape is Shape.MANY:
        return list(asyncio.run(_gather(made)) if hasattr(made, "__aiter__") else made)
    return [made]


def _made(result: Any) -> Any:
    return asyncio.run(_wait_for(result)) if inspect.isawaitable(result) else result


def _stream(transform: Transform, trial: _Trial, args: Any, threads: ThreadPoolExecutor) -> bytes:
    reader: Any = io.BytesIO(trial.data) if transform.seekable else BytesReader(trial.data)
    if inspect.isasyncgenfunction(transform.method):
        reader = ThreadedReader(reader, threads)
    pieces: Any = transform.method(reader, trial.name, args)
    return b"".join(asyncio.run(_gather(pieces)) if hasattr(pieces, "__aiter__") else pieces)


async def _wait_for(made: Any) -> Any:
    return await made


async def _gather(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]
