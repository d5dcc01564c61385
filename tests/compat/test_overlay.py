"""The overlay's imports, each in a process of its own, with the official package and without it."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.compat.commands import variables
from tests.support.environments import BOTH, OFFICIAL, OWN, Environment, need

pytestmark = pytest.mark.whole

_WITH_AND_WITHOUT = pytest.mark.parametrize("environment", [OWN, BOTH], ids=lambda environment: environment.name)


def _python(environment: Environment, code: str, *, overlay: bool = True) -> subprocess.CompletedProcess[str]:
    need(environment)
    prefix = [str(environment.programs / "instore"), "exec"] if overlay else []
    return subprocess.run(
        [*prefix, str(environment.python), "-c", textwrap.dedent(code)],
        env=variables(environment, {}),
        capture_output=True,
        text=True,
    )


def _printed(environment: Environment, code: str, *, overlay: bool = True) -> list[str]:
    done = _python(environment, code, overlay=overlay)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@_WITH_AND_WITHOUT
@pytest.mark.parametrize(
    "code",
    [
        "import aistore.sdk.etl.webserver as w; found = w.serialize_class",
        "from aistore.sdk.etl import webserver; found = webserver.serialize_class",
        "from aistore.sdk.etl.webserver import serialize_class as found",
        "from aistore.sdk.etl import serialize_class as found",
        "from aistore.sdk.etl.webserver import fastapi_server; found = fastapi_server.FastAPIServer",
        "import aistore; import aistore.sdk.etl.webserver.flask_server; "
        "found = aistore.sdk.etl.webserver.flask_server.FlaskServer",
        "from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer as found",
        "from aistore.sdk.etl.webserver.base_etl_server import ETLServer as found",
        "from aistore.sdk.etl.webserver.utils import compose_etl_direct_put_url as found",
        "import importlib, aistore.sdk.etl.webserver.utils as u; "
        "found = importlib.reload(u).compose_etl_direct_put_url",
        r"import pickle; found = pickle.loads(b'caistore.sdk.etl.webserver.fastapi_server\nFastAPIServer\n.')",
    ],
)
def test_every_way_to_import_a_web_server_finds_instore(environment: Environment, code: str) -> None:
    assert _printed(environment, f"{code}\nprint(found.__module__.split('.')[0])") == ["instore"]


@_WITH_AND_WITHOUT
def test_a_class_found_by_its_old_name_can_be_pickled(environment: Environment) -> None:
    code = """
        import pickle
        from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
        print(pickle.loads(pickle.dumps(FastAPIServer)) is FastAPIServer)
    """
    assert _printed(environment, code) == ["True"]


@_WITH_AND_WITHOUT
def test_errors_and_constants_of_an_etl_are_there(environment: Environment) -> None:
    code = """
        from aistore.sdk.const import HEADER_NODE_URL, QPARAM_ETL_ARGS, STATUS_OK
        from aistore.sdk.errors import ETLDirectPutTransientError, InvalidPipelineError
        error = ETLDirectPutTransientError("http://n", OSError("lost"), bail_without_local_retry=True)
        print(HEADER_NODE_URL, QPARAM_ETL_ARGS, STATUS_OK, error.bail_without_local_retry)
        print(InvalidPipelineError.__name__)
    """
    assert _printed(environment, code) == ["Ais-Node-Url", "etl_args", "200", "True", "InvalidPipelineError"]


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("from aistore import Client", "aistore.Client"),
        ("from aistore.sdk import Bucket", "aistore.sdk.Bucket"),
        ("import aistore.sdk.bucket", "aistore.sdk.bucket"),
        ("import aistore.pytorch", "aistore.pytorch"),
        ("from aistore.sdk.errors import AISError", "aistore.sdk.errors.AISError"),
        ("from aistore.sdk.const import URL_PATH_OBJECTS", "aistore.sdk.const.URL_PATH_OBJECTS"),
        ("import aistore.sdk.etl.webserver.fastapi_streaming", "aistore.sdk.etl.webserver.fastapi_streaming"),
    ],
)
def test_without_the_official_package_whatever_else_it_has_is_one_clear_line(code: str, missing: str) -> None:
    done = _python(OWN, code)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert "Error: " in last
    assert f"{missing} is a part of AIStore's official Python SDK, which is not installed" in last
    assert "pip install aistore" in last


def test_without_the_official_package_a_missing_part_is_an_import_error_that_code_can_catch() -> None:
    code = """
        try:
            from aistore import Client
        except ImportError:
            print("caught")
        try:
            import aistore.pytorch
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert _printed(OWN, code) == ["caught", "aistore.pytorch"]


def test_beside_the_official_package_everything_else_comes_from_it() -> None:
    code = """
        import aistore.sdk.bucket, aistore.sdk.etl.webserver.fastapi_streaming as other
        from aistore import Client
        from aistore.sdk.errors import AISError, InvalidPipelineError
        for found in (aistore.sdk.bucket.Bucket, Client, AISError, InvalidPipelineError):
            print(found.__module__.split(".")[0])
        print(other.__name__.split(".")[0])
        try:
            import aistore.no_such_module
        except ModuleNotFoundError as error:
            print(str(error).replace(" ", "_"))
    """
    assert _printed(BOTH, code) == ["aistore"] * 5 + ["No_module_named_'aistore.no_such_module'"]


def test_what_was_imported_before_the_overlay_is_exchanged() -> None:
    code = """
        import aistore.sdk.etl.webserver.flask_server as before
        from instore.compat.aistore import install
        install()
        install()
        import aistore.sdk.etl.webserver.flask_server as after, aistore
        from aistore.sdk.etl.webserver.flask_server import FlaskServer
        print(before.FlaskServer.__module__, after.FlaskServer.__module__, FlaskServer.__module__)
        print(aistore.sdk.etl.webserver.flask_server.FlaskServer is FlaskServer)
    """
    official, ours = "aistore.sdk.etl.webserver.flask_server", "instore.webserver.flask_server"
    assert _printed(BOTH, code, overlay=False) == [official, ours, ours, "True"]


@pytest.mark.parametrize("overlay", [False, True], ids=["plain", "overlay"])
@pytest.mark.parametrize(
    "imports",
    [
        "import instore; from aistore.sdk.etl.etl import ETLServer",
        "from aistore.sdk.etl.etl import ETLServer; import instore",
        "import aistore.sdk.etl.webserver.base_etl_server as b, importlib; import instore; "
        "ETLServer = importlib.reload(b).ETLServer",
    ],
    ids=["instore-first", "sdk-first", "reloaded"],
)
def test_the_official_client_takes_a_class_of_ours(imports: str, overlay: bool) -> None:
    code = f"""
        {imports}
        class Mine(instore.ETLServer):
            def transform(self, data, path, etl_args): return data
        class Other: pass
        print(issubclass(Mine, ETLServer), issubclass(Other, ETLServer))
    """
    assert _printed(BOTH, code, overlay=overlay) == ["True", "False"]


def test_the_official_client_ships_a_class_of_ours(tmp_path: Path) -> None:
    """The whole of `init_class`, with a proxy that takes what is sent."""
    code = """
        import base64, json, pickle, threading
        from http.server import BaseHTTPRequestHandler, HTTPServer
        from aistore import Client
        import instore

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self.server.body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"id")
            def log_message(self, *_): pass

        proxy = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=proxy.handle_request).start()

        class Upper(instore.ETLServer):
            def transform(self, data, path, etl_args): return data.upper()

        etl = Client(f"http://127.0.0.1:{proxy.server_port}").etl("upper-case")
        etl.init_class()(Upper)
        sent = json.loads(proxy.body)
        values = {one["name"]: one["value"] for one in sent["runtime"]["env"]}
        shipped = pickle.loads(base64.b64decode(values["ETL_CLASS_PAYLOAD"]))
        print(shipped.__name__, shipped.transform(None, b"abc", "", "").decode())
    """
    assert _printed(BOTH, code, overlay=False) == ["Upper", "ABC"]


def test_a_folder_named_like_the_sdk_is_not_taken_for_it(tmp_path: Path) -> None:
    need(OWN)
    (tmp_path / "aistore").mkdir()
    code = "from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer; print(FastAPIServer.__module__)"
    done = subprocess.run(
        [OWN.programs / "instore", "exec", OWN.python, "-c", code],
        env=variables(OWN, {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "instore.webserver.fastapi_server", done.stderr


def test_without_instore_in_the_commands_python_a_line_says_so() -> None:
    need(OFFICIAL, OWN)
    done = subprocess.run(
        [OWN.programs / "instore", "exec", OFFICIAL.python, "-c", "print('ran')"],
        env=variables(OWN, {}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.count("\n") == 1
    assert f"{OFFICIAL.python} can't import instore" in done.stderr
