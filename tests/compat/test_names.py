"""What code written for the SDK's classes may touch."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from instore.errors import ConfigurationError
from instore.server.thread_pool import THREAD_PER_REQUEST
from instore.webserver.base_etl_server import ETLServer
from instore.webserver.fastapi_server import FastAPIServer
from instore.webserver.flask_server import FlaskServer
from instore.webserver.http_multi_threaded_server import HTTPMultiThreadedServer
from instore.webserver.named_server import NamedServer
from tests.support.servers import TARGET_PATH

_URL = f"http://127.0.0.1:9{TARGET_PATH}"
_CLASSES: list[type[NamedServer]] = [FastAPIServer, FlaskServer, HTTPMultiThreadedServer]


def _echo(base: type[NamedServer]) -> type[NamedServer]:
    def transform(self: ETLServer, data: bytes, path: str, etl_args: str) -> bytes:
        return data

    return type("Echo", (base,), {"transform": transform})


@pytest.fixture(params=_CLASSES, ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[NamedServer]:
    """A transform under each name, in an environment that is fit."""
    monkeypatch.setenv("AIS_TARGET_URL", _URL)
    return _echo(request.param)


def test_the_constructor_takes_host_and_port_by_name_and_by_place(cls: type[NamedServer]) -> None:
    made = [cls(), cls("127.0.0.1", 8080), cls(port=8080)]
    assert [(one.host, one.port) for one in made] == [("0.0.0.0", 8000), ("127.0.0.1", 8080), ("0.0.0.0", 8080)]


def test_the_environment_is_on_the_object(cls: type[NamedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cls()
    assert (plain.host_target, plain.direct_put, plain.direct_fqn, plain.direct_put_retries, plain.token) == (
        _URL,
        False,
        False,
        3,
        None,
    )
    for name, value in {"DIRECT_PUT": "true", "ETL_DIRECT_FQN": "true", "AIS_AUTHN_TOKEN": "t0ken"}.items():
        monkeypatch.setenv(name, value)
    told = cls()
    assert (told.direct_put, told.direct_fqn, told.token, told.use_streaming) == (True, True, "t0ken", False)


def test_a_missing_target_is_an_environment_error(cls: type[NamedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIS_TARGET_URL")
    with pytest.raises(EnvironmentError, match="AIS_TARGET_URL"):
        cls()
    with pytest.raises(ConfigurationError, match="AIS_TARGET_URL"):
        cls()


@pytest.mark.parametrize("base", _CLASSES)
def test_a_class_without_a_transform_is_a_type_error(base: type[NamedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_TARGET_URL", _URL)
    with pytest.raises(TypeError, match="transform"):
        base()


def test_attributes_may_be_set_before_and_after_the_bases_constructor(cls: type[NamedServer]) -> None:
    class Child(cls):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.before = "before"
            super().__init__(port=1234)
            self.host_target = "http://another"
            self.session = "a session of its own"
            self.use_streaming = False
            self.after = "after"

    child = Child()
    assert (child.before, child.after, child.port, child.host_target) == ("before", "after", 1234, "http://another")
    assert child.session == "a session of its own"


def test_the_log_has_the_classes_name_and_tells_what_is_news(cls: type[NamedServer]) -> None:
    logger = cls().logger
    assert (logger.name, logger.getEffectiveLevel()) == ("Echo", logging.INFO)


def test_the_session_has_the_token_and_the_certificates(
    cls: type[NamedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cls().session.verify is True
    for name, value in {
        "AIS_AUTHN_TOKEN": "t0ken",
        "AIS_CLIENT_CA": "/ca.pem",
        "AIS_CRT": "/crt.pem",
        "AIS_CRT_KEY": "/key.pem",
    }.items():
        monkeypatch.setenv(name, value)
    session = cls().session
    assert isinstance(session, requests.Session)
    assert (session.headers["Authorization"], session.verify) == ("Bearer t0ken", "/ca.pem")
    assert session.cert == ("/crt.pem", "/key.pem")
    monkeypatch.setenv("AIS_SKIP_VERIFY_CRT", "true")
    assert cls().session.verify is False


def test_without_requests_the_session_says_what_to_install() -> None:
    code = f"""
import os, sys
sys.modules["requests"] = None
os.environ["AIS_TARGET_URL"] = {_URL!r}
from instore.webserver.fastapi_server import FastAPIServer
class Echo(FastAPIServer):
    def transform(self, data, path, etl_args): return data
Echo().session
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(
        "self.session and client_put() need the package requests; install it: pip install requests"
    )


@pytest.mark.parametrize(
    ("fqn", "path"),
    [
        ("/mnt/@ais/b/%25ob/o", "/mnt/@ais/b/%ob/o"),
        ("%2Fmnt%2F..%2F..%2Fetc%2Fpasswd", "/etc/passwd"),
        ("//mnt//o", "/mnt/o"),
        ("mnt/a%20b", "/mnt/a b"),
    ],
)
def test_a_file_path_is_made_plain(cls: type[NamedServer], fqn: str, path: str) -> None:
    assert cls().sanitize_fqn(fqn) == path


def test_what_runs_at_once_is_what_users_count_on() -> None:
    assert [cls.concurrency for cls in _CLASSES] == [1, 1, THREAD_PER_REQUEST]


def test_a_thread_for_each_request_is_no_invitation_to_send_that_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_TARGET_URL", _URL)
    offered = [_echo(cls)().offered_concurrency for cls in _CLASSES]
    assert offered[:2] == [1, 1]
    assert 1 < offered[2] < THREAD_PER_REQUEST


def test_the_application_knows_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_TARGET_URL", _URL)
    server = _echo(FastAPIServer)()
    assert server.app.state.etl_server is server
    server.app.state.anything = 1
    assert server.app.state.anything == 1


def test_importing_a_name_needs_no_web_framework(tmp_path: Path) -> None:
    code = """
import sys
import instore.webserver.fastapi_server, instore.webserver.flask_server, instore.webserver.http_multi_threaded_server
print(sorted({"fastapi", "flask", "starlette", "werkzeug", "requests", "httpx"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
