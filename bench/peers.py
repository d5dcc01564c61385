"""The servers that are compared, and how each is started: by the command that its own documentation gives.

All run the same class, from `bench/transforms/`. For the SDK's servers its one import line is exchanged, and the lines
that its documentation asks for come after it. The SDK lives in an environment of its own, `.peers/official`: it is no
dependency of the project.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bench.processes import BenchError
from tests.support.environments import LITSERVE, OFFICIAL, Environment, UnavailableError

ROOT = Path(__file__).parents[1]
TRANSFORMS = ROOT / "bench" / "transforms"
EXAMPLES = ROOT / "examples"

_OWN_IMPORT = "from instore import ETLServer\n"


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        name: for the table.
        programs: folder of the environment's programs.
        command: program and arguments, with `{module}`, `{port}` and `{workers}`.
        imports: what takes the place of our import line.
        footer: what comes after the class, with `{port}`.
        websocket: `/ws` is served.
        several: more than one worker can be asked for.
        variables: of its environment, `NAME=VALUE`.
    """

    name: str
    programs: Path
    command: str
    imports: str = _OWN_IMPORT
    footer: str = ""
    websocket: bool = True
    several: bool = True
    variables: tuple[str, ...] = ()

    def write_module(self, transform: str, folder: Path, port: int) -> Path:
        """Write the module of `transform` for this kind of server."""
        source = self.source(transform).replace(_OWN_IMPORT, self.imports)
        module = folder / f"{transform}_{self.name.lower()}_{port}.py"
        module.write_text(source + self.footer.format(port=port))
        return module

    def source(self, transform: str) -> str:
        """The code of `transform`, with our import line."""
        return (TRANSFORMS / f"{transform}.py").read_text()

    def start_command(self, module: Path, port: int, workers: int) -> list[str]:
        """The command that serves `module`, to be run in the module's folder."""
        program, *arguments = self.command.format(module=module.stem, port=port, workers=workers).split()
        return [str(self.programs / program), *arguments]


INSTORE = Kind(
    "instore",
    Path(sys.executable).parent,
    "instore serve {module}.py --host 127.0.0.1 --port {port} --workers {workers}",
)
UNHELD = replace(INSTORE, variables=("INSTORE_SPOOL=0",))  # sends a stream while it is made, as the others do
FASTAPI = Kind(
    "FastAPI",
    OFFICIAL.programs,
    "uvicorn {module}:fastapi_app --host 127.0.0.1 --port {port} --workers {workers} --no-access-log",
    "from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer as ETLServer\n",
    "\n\nfastapi_app = Transform(port={port}).app\n",
)
FLASK = Kind(
    "Flask",
    OFFICIAL.programs,
    "gunicorn {module}:flask_app --bind 127.0.0.1:{port} --workers {workers}",
    "from aistore.sdk.etl.webserver.flask_server import FlaskServer as ETLServer\n",
    "\n\nflask_app = Transform(port={port}).app\n",
    websocket=False,
)
THREADED = Kind(
    "threaded",
    OFFICIAL.programs,
    "python {module}.py",
    "from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer as ETLServer\n",
    '\n\nif __name__ == "__main__":\n    Transform(host="127.0.0.1", port={port}).start()\n',
    websocket=False,
    several=False,
)


class ModelKind(Kind):
    """The embeddings of `examples/`, in batches of `transform`'s number."""

    def source(self, transform: str) -> str:
        """The example's code, with another size of batches."""
        batches = "max_batch_size = 32"
        source = (EXAMPLES / "embeddings.py").read_text()
        assert batches in source
        return source.replace(batches, f"max_batch_size = {transform.rpartition('_')[2]}")


MODEL = ModelKind("instore", INSTORE.programs, INSTORE.command)
LIT_MODEL = ModelKind(
    "LitServe",
    LITSERVE.programs,
    "python {module}.py",
    "ETLServer = object\n",
    """

import base64
import litserve


class Served(litserve.LitAPI):
    def setup(self, device):
        self.embeddings = Embeddings()

    def decode_request(self, request):
        return request["text"].encode()

    def batch(self, inputs):
        return inputs

    def predict(self, texts):
        return self.embeddings.transform_batch(texts, [], "")

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {{"embedding": base64.b64encode(output).decode()}}


if __name__ == "__main__":
    api = Served(max_batch_size=Embeddings.max_batch_size, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port={port}, generate_client_file=False, log_level="warning")
""",
    websocket=False,
    several=False,
)


class GoKind(Kind):
    """The echo of `bench/go` on AIStore's Go framework: a program of its own, whatever the transform's module says."""

    def write_module(self, transform: str, folder: Path, port: int) -> Path:
        """What stands for the module: its log lies beside it."""
        return folder / f"go_{transform}_{port}.go"

    def start_command(self, module: Path, port: int, workers: int) -> list[str]:
        """One process on one core, as the others."""
        return ["env", "GOMAXPROCS=1", str(GO_ECHO), str(port)]


GO = GoKind("Go", Path(), "", several=False)
GO_ECHO = ROOT / ".bench" / "go-echo"
S5CMD = ROOT / ".bench" / "s5cmd"

PEERS = (FASTAPI, FLASK, THREADED)
EVERY = (INSTORE, *PEERS, GO)


def install(environment: Environment = OFFICIAL) -> None:
    """Make a peer's environment, once; again when what it is made of changes."""
    try:
        environment.make()
    except UnavailableError as error:
        raise BenchError(str(error)) from error


def build_go() -> str:
    """Build the peer in Go; why it can't be had, else nothing."""
    return _built(GO_ECHO, ROOT / "bench" / "go", ".", "AIStore's Go framework")


def build_s5cmd() -> str:
    """Build s5cmd; why it can't be had, else nothing."""
    return _built(S5CMD, ROOT / "bench" / "s5cmd", "github.com/peak/s5cmd/v2", "s5cmd")


def _built(program: Path, module: Path, package: str, name: str) -> str:
    """Build a program from the Go module of a folder, unless it is newer than that."""
    if program.exists() and all(source.stat().st_mtime < program.stat().st_mtime for source in module.iterdir()):
        return ""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return f"there is no Go on this machine, so {name} is left out"
    program.parent.mkdir(exist_ok=True)
    done = subprocess.run([go, "build", "-o", program, package], cwd=module, capture_output=True, text=True)
    return f"{name} can't be built and is left out: {done.stderr.strip()[-300:]}" if done.returncode else ""


def versions() -> str:
    """The peer's packages that matter to the figures."""
    names = ("aistore", "fastapi", "starlette", "uvicorn", "uvloop", "httpx", "flask", "gunicorn", "requests")
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    answer = subprocess.run([OFFICIAL.python, "-c", code, *names], check=True, capture_output=True, text=True)
    return answer.stdout.strip()
