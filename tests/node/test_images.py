"""What stands for an image: any command, with or without a port, beside any number of targets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml

from tests.support.environments import BOTH, need
from tests.support.node import running_node

CLASS = """
from instore import ETLServer

class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        return data.upper()
"""

PLAIN = """
import http.server, sys, urllib.parse

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"Running")

    def do_PUT(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        with open(urllib.parse.unquote(query["etl_fqn"][0]), "rb") as file:
            self.answer(file.read().upper())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""

ASGI = CLASS + "\napp = Upper().asgi_app\n"
RUN_BY_UVICORN = ASGI + "\nimport uvicorn\nuvicorn.run(app, host='0.0.0.0', port=8000, log_level='warning')\n"

SERVERS = {
    # what runs: (the command, what is in etl.py)
    "instore": ([sys.executable, "-m", "instore", "serve", "etl.py:Upper"], CLASS),
    "plain Python": ([sys.executable, "etl.py"], PLAIN),
    "instore, 2 workers": ([sys.executable, "-m", "instore", "serve", "etl.py:Upper", "--workers", "2"], CLASS),
    "uvicorn as a module": ([sys.executable, "-m", "uvicorn", "etl:app", "--log-level", "warning"], ASGI),
    "uvicorn from code": ([sys.executable, "etl.py"], RUN_BY_UVICORN),
    "in a shell": (["sh", "-c", f"cd . && exec {sys.executable} etl.py"], PLAIN),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_command_that_says_nothing_of_a_port_runs_beside_each_target(tmp_path: Path, server: str) -> None:
    command, code = SERVERS[server]
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "etl.py").write_text(code)
    with running_node(tmp_path, 2, options=["--image", f"upper={tmp_path / 'image'}"]) as node:
        init(node.endpoint, {"image": "upper:1", "command": command})
        assert read_through(node.endpoint) == b"HELLO"


@pytest.mark.whole
@pytest.mark.parametrize("options", [["-w", "2", "-k", "uvicorn.workers.UvicornWorker"], ["-k", "gthread"]])
def test_gunicorn_runs_beside_each_target(tmp_path: Path, options: list[str]) -> None:
    need(BOTH)
    app = "app" if "gthread" not in options else "wsgi"
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "etl.py").write_text(
        ASGI + "\nfrom instore.webserver.flask_server import FlaskServer\n\n"
        "class Wsgi(Upper, FlaskServer):\n    pass\n\nwsgi = Wsgi().app\n"
    )
    gunicorn = [str(BOTH.programs / "python"), "-m", "gunicorn", f"etl:{app}", *options]
    with running_node(tmp_path, 2, options=["--image", f"upper={tmp_path / 'image'}"]) as node:
        init(node.endpoint, {"image": "upper:1", "command": gunicorn})
        assert read_through(node.endpoint) == b"HELLO"


def test_what_instore_spec_writes_runs_on_the_node(tmp_path: Path) -> None:
    folder = tmp_path / "transformers" / "upper"
    folder.mkdir(parents=True)
    (folder / "upper.py").write_text(CLASS)
    wheel = tmp_path / "instore-0-py3-none-any.whl"
    wheel.write_bytes(b"")
    write = [sys.executable, "-m", "instore", "spec", "upper.py", "--wheel", str(wheel)]
    subprocess.run(write, cwd=folder, check=True, capture_output=True)
    spec = yaml.safe_load((folder / "etl_spec.yaml").read_text())
    del spec["runtime"]["command"]  # it stands in the Dockerfile, too
    with running_node(tmp_path, 2, options=["--images", str(tmp_path / "transformers")]) as node:
        init(node.endpoint, **spec)
        assert read_through(node.endpoint, spec["name"]) == b"HELLO"


def test_a_folder_of_transformers_that_is_none_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "instore", "node", "--dir", str(tmp_path / "n"), "--images", f"{tmp_path}/none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"--images {tmp_path}/none is not a folder" in done.stderr


def test_old_forms_of_a_specification_are_refused_or_read(tmp_path: Path) -> None:
    runtime = {"runtime": {"image": "none:1"}}
    with running_node(tmp_path) as node:
        for message, sentence in (
            ({"spec": "YXBpVmVyc2lvbg=="}, "a Kubernetes pod, the older form of an ETL"),
            ({"argument": "fqn", **runtime}, "start the node with --image none=FOLDER"),
        ):
            whole = {"name": "some-etl", "communication": "hpush://", **message}
            answer = requests.put(f"{node.endpoint}/v1/etl", json=whole)
            assert answer.status_code == 400
            assert sentence in answer.json()["message"]


def init(endpoint: str, runtime: object, name: str = "upper-etl", **more: object) -> None:
    message = {"name": name, "communication": "hpush://", "init_timeout": "60s", **more, "runtime": runtime}
    answer = requests.put(f"{endpoint}/v1/etl", data=json.dumps(message))
    assert answer.status_code == 200, answer.text


def read_through(endpoint: str, name: str = "upper-etl") -> bytes:
    """An object on each of several targets through the ETL, all alike."""
    requests.post(f"{endpoint}/v1/buckets/b", json={"action": "create-bck"})
    results = set()
    for number in range(4):
        requests.put(f"{endpoint}/v1/objects/b/{number}", data=b"hello")
        results.add(requests.get(f"{endpoint}/v1/objects/b/{number}?etl_name={name}").content)
    (result,) = results
    return result
