"""ETLs of a node: their lives, their servers, and what these ask of the node."""

import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrETLAlreadyExists, ErrETLNotFound, ErrObjNotFound
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from tests.node.processes import descendants
from tests.support.node import RunningNode, running_node, wait_until


@pytest.fixture(name="node", scope="module")
def _node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(Path(tmp_path_factory.mktemp("etls")), 2) as node:
        yield node
        assert "Traceback" not in node.log.read_text()


@pytest.fixture(name="source")
def _source(client: Client, bucket: Bucket) -> Bucket:
    for name in ("a.txt", "b/c.txt", "ümläut %41 #?&.txt"):
        bucket.object(name).get_writer().put_content(f"<{name}>".encode())
    return bucket


@pytest.fixture(name="upper")
def _upper(client: Client) -> Iterator[Any]:
    class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data.upper() + etl_args.encode()

    etl = client.etl("upper-etl")
    etl.init_class()(Upper)
    yield etl
    etl.stop()
    etl.delete()


def init(node: RunningNode, **changes: Any) -> requests.Response:
    message = {"name": "some-etl", "communication": "hpush://", "runtime": {"image": "aistorage/runtime_python:3.11"}}
    return requests.put(f"{node.endpoint}/v1/etl", json={**message, **changes}, timeout=60)


def aborted(client: Client) -> list[str]:
    return [info.id for info in client.cluster().list_etls(["Aborted", "Initializing"])]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Bad_Name"}, "is not a valid name"),
        ({"communication": "ws://"}, "needs direct put"),
        ({"communication": "carrier-pigeon://"}, "is not one of hpush://"),
        ({"runtime": {"image": "me/mine:1"}}, "start the node with --image me/mine=FOLDER"),
        ({"init_timeout": "soon"}, "is not a valid duration"),
        ({}, "no class to serve: set ETL_CLASS_PAYLOAD"),
        (
            {"runtime": {"image": "aistorage/runtime_python:3.11", "env": [{"name": "A", "value": "x" * 200_000}]}},
            "128 KiB",
        ),
    ],
)
def test_what_cannot_be_initialised_is_refused_with_a_sentence(
    node: RunningNode, client: Client, changes: dict[str, Any], sentence: str
) -> None:
    answer = init(node, **changes)
    assert answer.status_code == 400
    assert sentence in answer.json()["message"]
    assert descendants(node.process.pid) == []
    if aborted(client):  # its servers could not be started
        assert init(node, **changes).status_code == 409
        client.etl("some-etl").delete()
    assert list((node.folder / "etl").iterdir()) == []


def test_a_name_is_taken_once_and_free_again_after_it_is_deleted(client: Client, upper: Any) -> None:
    with pytest.raises(ErrETLAlreadyExists):
        client.etl("upper-etl").init("aistorage/runtime_python:3.11")
    upper.stop()
    upper.stop()  # a second time is no error: who leaves a `with` block stops what may be stopped
    upper.start()
    upper.delete()  # also one that runs
    with pytest.raises(ErrETLNotFound):
        upper.stop()
    client.etl("upper-etl").init_class()(_twice())


@pytest.mark.parametrize("comm_type", ["hpush", "hpull", "ws"])
def test_hostile_names_and_arguments_come_through(client: Client, source: Bucket, comm_type: str) -> None:
    class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data.upper() + etl_args.encode()

    etl = client.etl("args-etl")
    etl.init_class(comm_type=comm_type)(Upper)
    into = client.bucket(f"{source.name}-into")
    assert client.job(source.transform("args-etl", into)).wait(timeout=60, verbose=False).success
    assert into.object("ümläut %41 #?&.txt").get_reader().read_all() == "<ümläut %41 #?&.txt>".encode().upper()
    for args in ('{"a": "b, c & d + e = ü %41"}', "100%", " spaces kept inside only "):
        read = source.object("ümläut %41 #?&.txt").get_reader(etl=ETLConfig("args-etl", args)).read_all()
        assert read == "<ümläut %41 #?&.txt>".encode().upper() + args.strip().encode()
    etl.stop()
    etl.delete()


def test_a_result_that_a_browser_opens_may_run_nothing_and_ask_nothing(
    node: RunningNode, source: Bucket, upper: Any
) -> None:
    answer = requests.get(f"{node.endpoint}/v1/objects/{source.name}/a.txt?etl_name=upper-etl", timeout=60)
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_reads_what_a_server_pulls_through_the_node(node: RunningNode, client: Client, source: Bucket) -> None:
    class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data.upper()

    etl = client.etl("pulled-etl")
    etl.init_class(comm_type="hpull")(Upper)
    url = f"{node.endpoint}/v1/objects/{source.name}/a.txt?etl_name=pulled-etl"
    assert requests.get(url, timeout=60, allow_redirects=False).status_code == 307
    answer = requests.get(url, timeout=60, allow_redirects=False, headers={"Instore-Page": "1"})
    assert (answer.status_code, answer.content) == (200, b"<A.TXT>")
    etl.stop()
    etl.delete()


def test_what_is_not_there_is_not_found(client: Client, source: Bucket, upper: Any) -> None:
    with pytest.raises(ErrObjNotFound):
        source.object("none").get_reader(etl=ETLConfig("upper-etl")).read_all()
    with pytest.raises(ErrETLNotFound):
        source.object("a.txt").get_reader(etl=ETLConfig("no-such-etl")).read_all()
    with pytest.raises(ErrETLNotFound):
        source.transform("no-such-etl", client.bucket("into-nothing"))
    assert not [bucket.name for bucket in client.cluster().list_buckets() if bucket.name == "into-nothing"]


def test_a_bucket_is_not_transformed_into_itself(source: Bucket, upper: Any) -> None:
    for prepend in ("", "new/"):
        with pytest.raises(AISError, match=r"cannot etl-bck bucket .* onto itself"):
            source.transform("upper-etl", source, prepend=prepend)


def test_names_that_are_not_there_are_errors(client: Client, source: Bucket, upper: Any) -> None:
    into = client.bucket(f"{source.name}-into")
    for group, missing in (
        (source.objects(obj_names=["a.txt", "none"]), ["none"]),
        (source.objects(obj_template="b{0..1}.txt"), ["b0.txt", "b1.txt"]),
    ):
        job = client.job(group.transform(into, "upper-etl", continue_on_error=True))
        assert job.wait_for_idle(timeout=60, verbose=False).success
        assert "object not found" in job.status().err
        errors = upper.view(job.job_id).obj_errors
        assert sorted((error.obj_name, error.msg, error.ecode) for error in errors) == [
            (f"ais://{source.name}/{name}", "object not found", 202) for name in missing
        ]
    assert [entry.name for entry in into.list_all_objects()] == ["a.txt"]
    aborted = client.job(source.objects(obj_template="b{0..1}.txt").transform(into, "upper-etl"))
    assert not aborted.wait_for_idle(timeout=60, verbose=False).success


@pytest.mark.whole
def test_synchronising_removes_what_is_gone_from_the_source_and_nothing_else(
    client: Client, source: Bucket, upper: Any
) -> None:
    into = client.bucket(f"{source.name}-into").create()
    into.object("own.txt").get_writer().put_content(b"mine")
    into.object("new/gone.md").get_writer().put_content(b"of an object that is gone")
    job = client.job(source.transform("upper-etl", into, prepend="new/", ext={"txt": "md"}, sync=True))
    assert job.wait(timeout=60, verbose=False).success
    assert sorted(entry.name for entry in into.list_all_objects()) == [
        "new/a.md",
        "new/b/c.md",
        "new/ümläut %41 #?&.md",
        "own.txt",
    ]
    assert into.object("new/a.md").get_reader().read_all() == b"<A.TXT>"


def test_a_job_can_be_stopped_and_says_so(client: Client, bucket: Bucket, node: RunningNode) -> None:
    class Slow(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            import time

            time.sleep(0.2)
            return data

    for number in range(60):
        bucket.object(f"o{number}").get_writer().put_content(b"x")
    etl = client.etl("slow-etl")
    etl.init_class()(Slow)
    job = client.job(bucket.transform("slow-etl", client.bucket(f"{bucket.name}-into")))
    job.abort()
    waited = job.wait(timeout=60, verbose=False)
    assert not waited.success
    assert "stopped" in waited.error
    job = client.job(bucket.transform("slow-etl", client.bucket(f"{bucket.name}-again")))
    etl.stop()
    waited = job.wait(timeout=60, verbose=False)
    assert "etl slow-etl is Aborted: it was stopped" in waited.error
    etl.delete()


def test_the_door_for_servers_asks_for_the_secret_and_takes_only_what_is_expected(
    node: RunningNode, client: Client, source: Bucket
) -> None:
    class Tells(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return os.environ["AIS_TARGET_URL"].encode()

    etl = client.etl("tell-etl")
    etl.init_class()(Tells)
    url = source.object("a.txt").get_reader(etl=ETLConfig("tell-etl")).read_all().decode()
    uname = f"ais%2F@%23%2F{source.name}%2Fa.txt"
    assert requests.get(f"{url}/{uname}", timeout=10).content == b"<a.txt>"
    assert requests.get(f"{url}/{uname}x", timeout=10).status_code == 404
    base, _, secret = url.rpartition("/")
    for wrong in (secret[:-1], secret[:-1] + ("0" if secret[-1] != "0" else "1"), "", secret + "0"):
        assert requests.get(f"{base}/{wrong}/{uname}", timeout=10).status_code == 403
        assert requests.put(f"{base}/{wrong}/{uname}", b"mine", timeout=10).status_code == 403
    other = base.replace("tell-etl", "none-etl")
    assert requests.get(f"{other}/{secret}/{uname}", timeout=10).status_code == 403
    for query in ("", "?uuid=x&part=0123", "?part="):
        answer = requests.put(f"{url}/{uname}{query}", b"mine", timeout=10)
        assert (answer.status_code, "nobody waits for" in answer.text) == (410, True)
    assert source.object("a.txt").get_reader().read_all() == b"<a.txt>"
    etl.stop()
    assert requests.get(f"{url}/{uname}", timeout=10).status_code == 403
    etl.delete()


def test_a_server_that_says_delivered_and_has_not_is_caught(client: Client, source: Bucket, tmp_path: Path) -> None:
    liar = textwrap.dedent("""
        import os
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Liar(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
            def do_PUT(self):
                self.send_response(204)
                self.send_header("Ais-Direct-Put-Length", "7")
                self.end_headers()
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Liar).serve_forever()
    """)
    (tmp_path / "liar.py").write_text(liar)
    with running_node(tmp_path, 2, options=["--image", f"lying/etl={tmp_path}"]) as node:
        client = node.client()
        bucket = client.bucket("lies").create()
        for number in range(4):
            bucket.object(f"o{number}").get_writer().put_content(b"x")
        etl = client.etl("liar-etl")
        etl.init("lying/etl:1", f"{sys.executable} liar.py", direct_put=True)
        job = client.job(bucket.transform("liar-etl", client.bucket("into"), cont_on_err=True))
        waited = job.wait(timeout=60, verbose=False)
        assert "is delivered, and nothing has arrived" in waited.error
        assert len(etl.view(job.job_id).obj_errors) == 4
        assert sum(snap.stats.objects + snap.stats.out_objects for snap in job.get_details().list_snapshots()) == 0


@pytest.mark.whole
def test_an_image_runs_its_command_in_a_folder_on_a_port_of_its_own(tmp_path: Path) -> None:
    module = textwrap.dedent("""
        from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
        class Stars(FastAPIServer):
            def transform(self, data, path, etl_args):
                return b"*" + data + b"*"
        fastapi_app = Stars(port=8000).app
    """)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "stars.py").write_text(module)
    command = "uvicorn stars:fastapi_app --host 0.0.0.0 --port 8000 --no-access-log"
    with running_node(tmp_path, 3, options=["--image", f"me/stars={folder}"]) as node:
        client = node.client()
        bucket = client.bucket("sky").create()
        for number in range(6):
            bucket.object(f"o{number}").get_writer().put_content(b"%d" % number)
        with pytest.raises(AISError, match=r"give it in runtime\.command"):
            client.etl("stars-etl").init("me/stars:2")
        for number, comm_type in enumerate(["hpush", "hpull", "ws"]):
            name = f"stars-etl-{number}"
            client.etl(name).init("me/stars:2", command, comm_type=comm_type, direct_put=True)
            assert bucket.object("o3").get_reader(etl=ETLConfig(name)).read_all() == b"*3*"
            into = client.bucket(f"into-{number}")
            assert client.job(bucket.transform(name, into)).wait(timeout=60, verbose=False).success
            assert into.object("o5").get_reader().read_all() == b"*5*"
        node.stop()
    assert descendants(node.process.pid) == []


@pytest.mark.whole
def test_a_server_that_is_never_ready_is_given_up_and_its_log_shown(tmp_path: Path) -> None:
    with running_node(tmp_path, options=["--image", f"me/deaf={tmp_path}"]) as node:
        etl = node.client().etl("deaf-etl")
        with pytest.raises(AISError, match=r"did not answer .*/health within init_timeout, 5 s.*I hear nothing"):
            etl.init("me/deaf", ["sh", "-c", "echo I hear nothing; sleep 1000"], init_timeout="5s")
        etl.delete()
        with pytest.raises(
            AISError, match=r"exited with code 127 before it was ready; its log ends:.*no command nothing"
        ):
            etl.init("me/deaf", ["nothing-of-the-kind"])
        assert descendants(node.process.pid) == []


@pytest.mark.parametrize(("verb", "reason"), [("stop", "it was stopped"), ("delete", "it was deleted")])
def test_one_that_is_being_initialised_is_called_off_at_once(tmp_path: Path, verb: str, reason: str) -> None:
    with running_node(tmp_path, 2, options=["--image", f"me/deaf={tmp_path}"]) as node:
        client = node.client()
        etl = client.etl("deaf-etl")
        with ThreadPoolExecutor(2) as threads:
            init = threads.submit(etl.init, "me/deaf", ["sh", "-c", "echo begun; sleep 1000"], init_timeout="500s")
            wait_until(lambda: len([log for log in node.folder.rglob("deaf-etl.*.log") if log.read_text()]) == 2)
            bucket = client.bucket("b").create()
            bucket.object("o").get_writer().put_content(b"x")
            read = threads.submit(bucket.object("o").get_reader(etl=ETLConfig("deaf-etl")).read_all)
            getattr(etl, verb)()
            with pytest.raises(AISError, match=f"etl deaf-etl can't be initialised: {reason}"):
                init.result(60)
            with pytest.raises(AISError, match=f"{reason}|does not exist"):
                read.result(60)
        wait_until(lambda: descendants(node.process.pid) == [])
        if verb == "stop":
            assert {info.id: info.stage for info in client.cluster().list_etls(["Aborted"])} == {"deaf-etl": "Aborted"}
            assert client.etl("deaf-etl").view().init_msg.name == "deaf-etl"
            etl.delete()
        assert client.cluster().list_etls(["Running", "Aborted", "Initializing"]) == []
        assert list((node.folder / "etl").iterdir()) == []
        assert "Traceback" not in node.log.read_text()


def test_a_start_is_called_off_as_an_init_is(tmp_path: Path) -> None:
    with running_node(tmp_path, options=["--image", f"me/late={tmp_path}"]) as node:
        client = node.client()
        (tmp_path / "server.py").write_text(textwrap.dedent(LATE))
        etl = client.etl("late-etl")
        etl.init("me/late", [sys.executable, "server.py"])
        etl.stop()
        (tmp_path / "late").touch()
        with ThreadPoolExecutor(1) as threads:
            start = threads.submit(etl.start)
            wait_until(lambda: "waiting" in "".join(log.logs for log in etl.logs()))
            etl.stop()
            with pytest.raises(AISError, match="etl late-etl can't be started: it was stopped"):
                start.result(60)
        assert descendants(node.process.pid) == []
        (tmp_path / "late").unlink()
        etl.start()
        assert [info.id for info in client.cluster().list_etls()] == ["late-etl"]


LATE = """
    import os, time
    from instore.webserver.fastapi_server import FastAPIServer

    class Late(FastAPIServer):
        def transform(self, data, path, etl_args):
            return data

    while os.path.exists("late"):
        print("waiting", flush=True)
        time.sleep(1)
    Late().start()
"""


def test_a_folder_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "instore", "node", "--dir", str(tmp_path / "n"), "--image", f"x={tmp_path}/none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "is not a folder" in done.stderr) == (2, True)


@pytest.mark.whole
def test_etls_come_back_with_the_node_as_they_were(tmp_path: Path) -> None:
    with running_node(tmp_path, 2) as node:
        client = node.client()
        client.bucket("b").create().object("o").get_writer().put_content(b"x")
        for name in ("first-etl", "second-etl"):
            client.etl(name).init_class()(_twice())
        client.etl("second-etl").stop()
        ids = {info.id: info.xaction_id for info in client.cluster().list_etls(["Running", "Aborted"])}
        assert node.stop() == 0
    assert descendants(node.process.pid) == []
    with running_node(tmp_path, 2) as node:
        client = node.client()
        # Not ready yet, perhaps; a read waits for it.
        assert client.bucket("b").object("o").get_reader(etl=ETLConfig("first-etl")).read_all() == b"xx"
        stages = {info.id: info.stage for info in client.cluster().list_etls(["Running", "Aborted"])}
        assert stages == {"first-etl": "Running", "second-etl": "Aborted"}
        assert ids == {info.id: info.xaction_id for info in client.cluster().list_etls(["Running", "Aborted"])}
        with pytest.raises(AISError, match="it was stopped"):
            client.bucket("b").object("o").get_reader(etl=ETLConfig("second-etl")).read_all()
        client.etl("second-etl").start()
        assert client.bucket("b").object("o").get_reader(etl=ETLConfig("second-etl")).read_all() == b"xx"
        assert sorted(path.name for path in (node.folder / "etl").glob("*.json")) == [
            "first-etl.json",
            "second-etl.json",
        ]


def _twice() -> type:
    class Twice(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data + data

    return Twice


def test_health_and_metrics_are_told_for_each_target(node: RunningNode, upper: Any) -> None:
    def get(what: str) -> Any:
        with urllib.request.urlopen(f"{node.endpoint}/v1/etl/upper-etl/{what}") as answer:
            return json.load(answer)

    assert get("health") == [{"target_id": one, "health_status": "Running"} for one in ("t1", "t2")]
    metrics = get("metrics")
    assert [one["target_id"] for one in metrics] == ["t1", "t2"]
    assert all(one["mem"] > 1 << 20 and one["cpu"] >= 0 for one in metrics)
    with pytest.raises(HTTPError) as caught:
        get("nothing")
    assert caught.value.code == 501
    upper.stop()
    with pytest.raises(HTTPError):
        get("health")
    wait_until(lambda: descendants(node.process.pid) == [])


def test_the_arguments_of_a_class_are_told_for_the_page(node: RunningNode, client: Client, upper: Any) -> None:
    @dataclass
    class Options:
        side: int
        tags: list[str] = field(default_factory=list)

    class Typed(HTTPMultiThreadedServer):  # type: ignore[misc]
        Args = Options

        def transform(self, data: bytes, path: str, etl_args: Any) -> bytes:
            return str(etl_args).encode()

    def told(etl: str) -> Any:
        return requests.get(f"{node.endpoint}/v1/etl/{etl}/arguments", timeout=30)

    etl = client.etl("typed-etl")
    etl.init_class()(Typed)
    schema = told("typed-etl").json()
    assert schema["required"] == ["side"]
    assert schema["properties"]["side"] == {"type": "integer"}
    assert told("upper-etl").json() is None
    etl.stop()
    assert told("typed-etl").status_code >= 400
    etl.delete()
    assert told("no-such-etl").status_code == 404


@pytest.mark.whole
def test_a_pipeline_needs_direct_put_of_all_but_the_last(client: Client, source: Bucket, upper: Any) -> None:
    last = client.etl("last-etl")
    last.init_class(direct_put=False)(_twice())
    assert source.object("a.txt").get_reader(etl=ETLConfig(upper >> last)).read_all() == b"<A.TXT><A.TXT>"
    with pytest.raises(AISError, match="can't hand its results to the next ETL"):
        source.object("a.txt").get_reader(etl=ETLConfig(last >> upper)).read_all()
    into = client.bucket(f"{source.name}-into")
    job = client.job(source.transform("upper-etl", into, etl_pipeline=["last-etl"]))
    assert job.wait(timeout=60, verbose=False).success
    assert into.object("a.txt").get_reader().read_all() == b"<A.TXT><A.TXT>"
    last.stop()
    last.delete()


@pytest.mark.parametrize("comm_type", ["hpush", "hpull", "ws"])
def test_who_asks_for_a_range_of_a_result_gets_the_whole(client: Client, source: Bucket, comm_type: str) -> None:
    etl = client.etl("range-etl")
    etl.init_class(comm_type=comm_type)(_twice())
    for byte_range in ("bytes=0-3", "bytes=-2", "bytes=2-"):
        reader = source.object("a.txt").get_reader(etl=ETLConfig("range-etl"), byte_range=byte_range)
        assert reader.read_all() == b"<a.txt><a.txt>"
    etl.stop()
    etl.delete()


def test_the_latest_version_is_sent_as_a_body(client: Client, source: Bucket) -> None:
    class Kind(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
            return type(data).__name__.encode()

    etl = client.etl("kind-etl")
    etl.init_class(direct_file_access=True)(Kind)
    reader = source.object("a.txt").get_reader
    assert reader(etl=ETLConfig("kind-etl")).read_all() == b"str"
    assert reader(etl=ETLConfig("kind-etl"), latest=True).read_all() == b"bytes"
    into = client.bucket(f"{source.name}-into")
    for latest, kind in [(False, b"str"), (True, b"bytes")]:
        assert client.job(source.transform("kind-etl", into, latest=latest)).wait(timeout=60, verbose=False).success
        assert into.object("b/c.txt").get_reader().read_all() == kind
    etl.stop()
    etl.delete()


@pytest.mark.whole
def test_a_nodes_token_is_no_hindrance_to_its_own_servers(tmp_path: Path) -> None:
    with running_node(tmp_path, 2, environment={"AIS_AUTHN_TOKEN": "s3cret-t0ken"}) as node:
        client = node.client("s3cret-t0ken")
        bucket = client.bucket("b").create()
        bucket.object("o").get_writer().put_content(b"x")
        for comm_type in ("hpush", "hpull", "ws"):
            etl = client.etl(f"{comm_type}-twice-etl")
            etl.init_class(comm_type=comm_type)(_twice())
            assert bucket.object("o").get_reader(etl=ETLConfig(etl.name)).read_all() == b"xx"
            assert client.job(bucket.transform(etl.name, client.bucket(comm_type))).wait(timeout=60, verbose=False)
            assert client.bucket(comm_type).object("o").get_reader().read_all() == b"xx"
        with pytest.raises(AISError, match="token"):
            node.client().cluster().list_etls()
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(node.process.pid)]
        assert environments
        assert not any(b"s3cret-t0ken" in environment for environment in environments)


def test_a_server_finds_no_keys_of_the_node_and_who_asks_sees_none_of_its_own(tmp_path: Path) -> None:
    code = """
        import json, os
        from instore import ETLServer

        class Tells(ETLServer):
            def transform(self, data, path, etl_args):
                return json.dumps(dict(os.environ)).encode()
    """
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "tells.py").write_text(textwrap.dedent(code))
    variables = {"AWS_SECRET_ACCESS_KEY": "of the node", "LANG": "C.UTF-8"}
    options = ("--image", f"tells={tmp_path / 'image'}")
    with running_node(tmp_path, environment=variables, options=options) as node:
        client = Client(node.endpoint)
        client.bucket("b").create().object("o").get_writer().put_content(b"x")
        given = {"API_KEY": "mine", "MIRROR": "http://me:word@example.com/x", "SIDE": "256"}
        command = [sys.executable, "-m", "instore", "serve", "tells.py", "--port", "8000"]
        client.etl("tells-all").init("tells", command=command, **given)
        found = json.loads(client.bucket("b").object("o").get_reader(etl=ETLConfig("tells-all")).read_all())
        assert "AWS_SECRET_ACCESS_KEY" not in found
        assert {name: found[name] for name in (*given, "LANG")} == {**given, "LANG": "C.UTF-8"}
        shown = requests.get(f"{node.endpoint}/v1/etl/tells-all", timeout=30).json()["init_msg"]["runtime"]["env"]
        assert {one["name"]: one["value"] for one in shown} == {
            "API_KEY": "[redacted]",
            "MIRROR": "http://[redacted]@example.com/x",
            "SIDE": "256",
        }
