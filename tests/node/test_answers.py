"""The node's answers beside AIStore's: the table of docs/node.md, a check for each of its lines."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.node import running_node, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "node.md"

# What it does is said by the arguments, or else by the object.
CLASS = """
import time
from instore import ETLServer

class Does(ETLServer):
    concurrency = 4

    def transform(self, data, path, etl_args):
        if isinstance(data, str):
            data = open(data, "rb").read()
        what = etl_args or data.decode()
        if what == "fail":
            raise ValueError("it does not want to")
        if what == "sleep":
            time.sleep(4)
        return path.encode() if what == "path" else data.upper()

    def get_mime_type(self):
        return "text/upper"
"""


@dataclass
class API:
    """A node's API, as it stands on the wire."""

    endpoint: str

    def ask(self, method: str, path: str, message: object = None, **more: Any) -> requests.Response:
        """One request, with a message in JSON."""
        if message is not None:
            more["data"] = json.dumps(message)
        return requests.request(method, f"{self.endpoint}{path}", **more, timeout=60)

    def put(self, bucket: str, *names: str, data: bytes = b"hello") -> None:
        """Objects in a bucket, which is made if it isn't there."""
        self.ask("POST", f"/v1/buckets/{bucket}", {"action": "create-bck"})
        for name in names:
            assert self.ask("PUT", f"/v1/objects/{bucket}/{name}", data=data).status_code == 200

    def read(self, path: str, etl: str, args: str = "", **more: Any) -> requests.Response:
        """An object through an ETL."""
        return self.ask("GET", f"/v1/objects/{path}?etl_name={etl}&etl_args={args}", **more)

    def init(self, name: str, communication: str = "hpush://", **more: Any) -> requests.Response:
        """An ETL of the class above."""
        command = [sys.executable, "-m", "instore", "serve", "etl.py:Does"]
        spec = {"name": name, "communication": communication, "support_direct_put": True, "obj_timeout": "2s"}
        return self.ask("PUT", "/v1/etl", {**spec, "runtime": {"image": "does:1", "command": command}, **more})

    def stages(self, etl: str) -> list[str]:
        """The stage of an ETL, if it is there."""
        return [one["stage"] for one in self.ask("GET", "/v1/etl").json() if one["id"] == etl]

    def names(self, bucket: str, **value: Any) -> list[str]:
        """What a bucket holds."""
        listed = self.ask("GET", f"/v1/buckets/{bucket}", {"action": "list", "value": {"props": "name", **value}})
        assert listed.status_code == 200, listed.text
        return [entry["name"] for entry in listed.json()["entries"]]

    def objects_job(self, kind: str, bucket: str, to: str, **value: Any) -> requests.Response:
        """A job over some objects of a bucket."""
        method = "DELETE" if kind == "delete-listrange" else "POST"
        described = {} if kind == "delete-listrange" else {"tobck": {"name": to, "provider": "ais"}}
        return self.ask(method, f"/v1/buckets/{bucket}", {"action": kind, "value": {**described, **value}})

    def bucket_job(self, bucket: str, to: str, etl: str, **value: Any) -> requests.Response:
        """A bucket through an ETL into another."""
        message = {"action": "etl-bck", "value": {"id": etl, **value}}
        return self.ask("POST", f"/v1/buckets/{bucket}?bck_to=ais/@%23/{to}/", message)

    def snapshots(self, job: str) -> list[dict[str, Any]]:
        """A job on each target, when its work is done."""

        def found() -> list[dict[str, Any]]:
            told = self.ask("GET", "/v1/cluster?what=qryxstats", {"ID": job}).json()
            return [snapshot for target in told.values() for snapshot in target]

        wait_until(lambda: all(one["is_idle"] for one in found()))
        return found()

    def ended(self, job: str) -> dict[str, Any]:
        """A job's status at its end."""
        self.snapshots(job)
        status: dict[str, Any] = self.ask("GET", "/v1/cluster?what=status", {"ID": job}).json()
        return status

    def errors(self, etl: str, job: str = "") -> list[dict[str, Any]]:
        """The errors of a job's objects."""
        view = self.ask("GET", f"/v1/etl/{etl}?uuid={job}").json()
        return sorted(view.get("obj_errors", []), key=lambda one: str(one["obj_name"]))


def _node(folder: Path, *options: str) -> Iterator[API]:
    (folder / "image").mkdir()
    (folder / "image" / "etl.py").write_text(CLASS)
    with running_node(folder, 2, options=["--image", f"does={folder / 'image'}", *options]) as running:
        api = API(running.endpoint)
        api.put("b", "o", "p")
        for name, communication in (("push-etl", "hpush://"), ("pull-etl", "hpull://"), ("sock-etl", "ws://")):
            assert api.init(name, communication).status_code == 200
        yield api
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[API]:
    yield from _node(tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[API]:
    yield from _node(tmp_path_factory.mktemp("strict"), "--strict")


def a_range(api: API) -> None:
    answer = api.read("b/o", "push-etl", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"HELLO")


def head_with_etl(api: API) -> None:
    assert api.ask("HEAD", "/v1/objects/b/o?etl_name=push-etl").headers["Content-Length"] == "5"


def failing_read(api: API) -> None:
    answer = api.read("b/o", "push-etl", "fail")
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("ETL error: ")
    assert "it does not want to" in answer.json()["message"]


def failing_read_over_ws(api: API) -> None:
    answer = api.read("b/o", "sock-etl", "fail")
    assert answer.status_code in (400, 422)
    assert "it does not want to" in answer.json()["message"]


def too_slow(api: API) -> None:
    answer = api.read("b/o", "push-etl", "sleep")
    assert answer.status_code == 400
    assert "timeout" in answer.json()["message"]


def copies_of_one(api: API) -> None:
    def copy(etl: str, args: str = "") -> int:
        query = f"object_to=ais/@%23/b/copied&etl_name={etl}&etl_args={args}"
        return api.ask("PUT", f"/v1/objects/b/o?{query}").status_code

    assert [copy("push-etl"), copy("push-etl", "fail"), copy("none-etl")] == [204, 422, 400]


def pipeline_from_hpull(api: API) -> None:
    assert api.read("b/o", "pull-etl&etl_pipeline=push-etl").content == b"HELLO"


def no_pipeline_from_hpull(api: API) -> None:
    answer = api.read("b/o", "pull-etl&etl_pipeline=push-etl")
    assert answer.status_code == 400
    assert "inline transform pipeline not supported for hpull://" in answer.json()["message"]


def missing_stage(api: API) -> None:
    answer = api.read("b/o", "push-etl&etl_pipeline=none-etl")
    assert (answer.status_code, answer.json()["tcode"]) == (400, "ErrETL")
    assert api.bucket_job("b", "into", "push-etl", pipeline=["none-etl"]).status_code == 404


def path_under_ws(api: API) -> None:
    assert api.read("b/o", "sock-etl", "path").content == b"o"


def content_type(api: API) -> None:
    assert api.read("b/o", "push-etl").headers["Content-Type"] == "text/upper"


def failed_init(api: API) -> None:
    runtime = {"image": "does:1", "command": ["false"]}
    assert api.init("fails-etl", runtime=runtime).status_code == 400
    assert api.stages("fails-etl") == ["Aborted"]
    assert api.init("fails-etl", runtime=runtime).status_code == 409
    assert api.ask("DELETE", "/v1/etl/fails-etl").status_code == 200


def deleted_while_running(api: API) -> None:
    assert api.init("short-etl").status_code == 200
    assert api.ask("DELETE", "/v1/etl/short-etl").status_code == 200
    assert "short-etl" not in [one["id"] for one in api.ask("GET", "/v1/etl").json()]


def ended_while_initializing(api: API) -> None:
    for method, path, stages in (("POST", "/v1/etl/never-etl/stop", ["Aborted"]), ("DELETE", "/v1/etl/never-etl", [])):
        with ThreadPoolExecutor() as threads:
            runtime = {"image": "does:1", "command": ["sleep", "1000"]}
            begun = threads.submit(api.init, "never-etl", runtime=runtime, init_timeout="50s")
            wait_until(lambda: api.stages("never-etl") == ["Initializing"])
            assert api.ask(method, path).status_code == 200
            assert begun.result().status_code == 400
        assert api.stages("never-etl") == stages
        api.ask("DELETE", "/v1/etl/never-etl")


def _stopped(api: API) -> list[int]:
    """The statuses of view and logs of a stopped ETL, and of a read and a job with it."""
    api.init("still-etl")
    api.ask("POST", "/v1/etl/still-etl/stop")
    asked = [api.ask("GET", "/v1/etl/still-etl"), api.ask("GET", "/v1/etl/still-etl/logs")]
    used = [api.read("b/o", "still-etl"), api.bucket_job("b", "into", "still-etl")]
    assert all("it was stopped" in one.json()["message"] for one in used)
    return [one.status_code for one in asked + used]


def stopped_is_viewed(api: API) -> None:
    assert _stopped(api)[:2] == [200, 200]


def stopped_is_not_viewed(api: API) -> None:
    assert _stopped(api)[:2] == [404, 404]


def stopped_is_not_used(api: API) -> None:
    assert _stopped(api)[2:] == [404, 404]


def others_jobs_go_on(api: API) -> None:
    api.put("slow", *(f"o{number}" for number in range(8)), data=b"sleep")
    api.init("other-etl")
    job = api.bucket_job("slow", "slowly", "push-etl", coer=True).text
    assert api.ask("DELETE", "/v1/etl/other-etl").status_code == 200
    assert api.ask("GET", "/v1/cluster?what=status", {"ID": job}).json()["end_time"] == 0
    api.ask("PUT", "/v1/cluster", {"action": "stop", "value": {"ID": job}})
    assert api.ended(job)["aborted"]


def view_of_a_short_name(api: API) -> None:
    assert api.ask("GET", "/v1/etl/x").status_code == 400


def init_of_a_name_that_exists(api: API) -> None:
    assert api.init("push-etl", runtime={"image": "unknown:1"}).status_code == 409


def name_with_hyphens(api: API) -> None:
    assert api.init("-abcde-").status_code == 200
    assert api.ask("DELETE", "/v1/etl/-abcde-").status_code == 200


def counts_of_all_targets(api: API) -> None:
    for name in "ab":
        api.read(f"b/{'o' if name == 'a' else 'p'}", "push-etl")
    (told,) = [one for one in api.ask("GET", "/v1/etl").json() if one["id"] == "push-etl"]
    assert told["obj_count"] >= 2
    assert told["in_bytes"] >= 10


def view_has_the_stage(api: API) -> None:
    assert api.ask("GET", "/v1/etl/push-etl").json()["stage"] == "Running"


def view_has_no_stage(api: API) -> None:
    assert set(api.ask("GET", "/v1/etl/push-etl").json()) <= {"init_msg", "obj_errors"}


def errors_of_objects(api: API) -> None:
    api.put("mixed", "bad0", "bad1", data=b"fail")
    job = api.objects_job("etl-listrange", "mixed", "made", id="push-etl", objnames=["bad0", "bad1", "none"], coer=True)
    status = api.ended(job.text)
    assert not status["aborted"]
    assert status["err"].endswith(" (and 2 more errors)")
    errors = api.errors("push-etl", job.text)
    assert [error["ecode"] for error in errors] == [422, 422, 202]
    assert [error["msg"].partition(": ")[0] for error in errors] == ["ETL error", "ETL error", "object not found"]


def snapshots(api: API) -> None:
    api.put("few", *(f"o{number}" for number in range(6)))
    api.put("few", "bad", data=b"fail")
    job = api.bucket_job("few", "fewer", "push-etl", coer=True).text
    told = api.snapshots(job)
    assert all(isinstance(value, str) for one in told for value in one["stats"].values())
    done = sum(int(one["stats"]["loc-objs"]) + int(one["stats"]["out-objs"]) for one in told)
    size = sum(int(one["stats"]["loc-bytes"]) + int(one["stats"]["out-bytes"]) for one in told)
    assert (done, size) == (6, 30)
    assert {(bool(one["err"]), one["abort-err"]) for one in told} == {(True, "")}


def a_job_each(api: API) -> None:
    jobs = {api.objects_job("copy-listrange", "b", "each", objnames=["o"]).text for _ in range(2)}
    assert len(jobs) == 2
    for job in jobs:
        assert all(one["is_idle"] for one in api.snapshots(job))
        assert f"copy-listrange[{job}]" in api.ask("GET", "/v1/cluster?what=running_all", {}).json()


MALFORMED = ("s-{a,b}", "{a..b}", "t{}", "t{02..00}")


def malformed_template_is_refused(api: API) -> None:
    for template in MALFORMED:
        assert api.objects_job("copy-listrange", "b", "x", template=template).status_code == 400


def malformed_template_does_nothing(api: API) -> None:
    for template in MALFORMED:
        job = api.objects_job("copy-listrange", "b", "nothing", template=template)
        assert job.status_code == 200
        assert api.ended(job.text)["err"] == ""
    assert api.names("nothing") == []


def templates(api: API) -> None:
    api.put("many", "s-1", "t0.txt", "t1.txt", "t2.txt")
    for number, (template, names) in enumerate(
        [("", ["s-1", "t0.txt", "t1.txt", "t2.txt"]), ("s-", ["s-1"]), ("t@1.txt", ["t0.txt", "t1.txt"])]
    ):
        api.ended(api.objects_job("copy-listrange", "many", f"many{number}", template=template).text)
        assert api.names(f"many{number}") == names
    assert api.objects_job("copy-listrange", "many", "x", template="t%02d.txt").status_code == 400


def missing_names_of_a_range(api: API) -> None:
    job = api.objects_job("etl-listrange", "b", "ranged", id="push-etl", template="none{0..1}").text
    assert api.ended(job)["aborted"]
    for kind in ("copy-listrange", "delete-listrange"):
        assert api.ended(api.objects_job(kind, "b", "ranged", template="none{0..1}").text)["err"] == ""


def onto_itself(api: API) -> None:
    for prepend in ("", "new/"):
        answer = api.bucket_job("b", "b", "push-etl", prepend=prepend)
        assert answer.status_code == 400
        assert "cannot etl-bck bucket ais://b onto itself" in answer.json()["message"]


def unknown_field(api: API) -> None:
    assert api.bucket_job("b", "x", "push-etl", prepned="x").status_code == 400
    assert api.objects_job("delete-listrange", "b", "", template="q", prefixx="x").status_code == 400


def _conflict(api: API, bucket: str) -> requests.Response:
    """Store what can't lie beside another object on the same target."""
    api.put(bucket)
    answers = []
    for number in range(8):  # one of these pairs lies on one target
        api.put(bucket, f"a{number}")
        answers.append(api.ask("PUT", f"/v1/objects/{bucket}/a{number}/b", data=b"x"))
    refused = [one for one in answers if one.status_code != 200]
    assert all("destination contains an object in its path" in one.json()["message"] for one in refused)
    return refused[0]


def below_an_object(api: API) -> None:
    assert _conflict(api, "conflict").status_code == 409


def below_an_object_strictly(api: API) -> None:
    answer = _conflict(api, "conflict")
    assert (answer.status_code, answer.json()["tcode"]) == (400, "ErrMv")


def refused_names(api: API) -> None:
    for name in ("%2Flead", "a%2F%2Fb", "x" * 300):
        assert api.ask("PUT", f"/v1/objects/b/{name}", data=b"x").status_code == 400


def names_that_both_refuse(api: API) -> None:
    for name in ("tr%2F", ".%2Fx", "x%2F..%2Fy"):
        assert api.ask("PUT", f"/v1/objects/b/{name}", data=b"x").status_code == 400


def list_flags(api: API) -> None:
    def status(bit: int) -> int:
        message = {"action": "list", "value": {"flags": str(1 << bit)}}
        return api.ask("GET", "/v1/buckets/b", message).status_code

    refused = {bit: status(bit) for bit in range(18) if status(bit) != 200}
    assert refused == {9: 400, 12: 400, 15: 400, 3: 501}


def no_folders(api: API) -> None:
    api.put("deep", "a/b", "c")
    assert api.names("deep", flags=str(1 << 11)) == ["a/", "c"]
    assert api.names("deep", flags=str(1 << 11 | 1 << 13)) == ["c"]


def folders_all_the_same(api: API) -> None:
    api.put("deep", "a/b", "c")
    assert api.names("deep", flags=str(1 << 11 | 1 << 13)) == ["a/", "c"]


def listing_in_json(api: API) -> None:
    value = {"props": "name,size,version", "prefix": "o"}
    listed = api.ask("GET", "/v1/buckets/b", {"action": "list", "value": value}).json()
    assert {"name": "o", "size": "5", "version": "1", "flags": 64} in listed.pop("entries")
    assert set(listed) == {"uuid", "continuation_token", "flags"}


def kinds_of_errors(api: API) -> None:
    asked = [
        api.ask("GET", "/v1/objects/b/none"),
        api.ask("GET", "/v1/objects/none/o"),
        api.ask("POST", "/v1/buckets/b", {"action": "create-bck"}),
        api.ask("POST", "/v1/etl/push-etl/start"),
    ]
    kinds = [one.json()["tcode"] for one in asked]
    assert kinds == ["ErrNotFound", "ErrBckNotFound", "ErrBucketAlreadyExists", "ErrETL"]
    assert set(asked[0].json()) == {
        *("tcode", "message", "method", "url_path", "remote_addr", "caller", "node", "status"),
    }


def no_redirect(api: API) -> None:
    assert api.ask("GET", "/v1/objects/b/o", allow_redirects=False).status_code == 200


def chosen_properties(api: API) -> None:
    def headers(props: str) -> set[str]:
        answer = api.ask("HEAD", f"/v1/objects/b/o?props={props}")
        return {name.lower() for name in answer.headers} - {"content-length", "date", "server"}

    assert headers("version,etag") == {"ais-present", "ais-version", "etag"}
    assert headers("last-modified") == {"ais-present", "last-modified"}
    assert "last-modified" not in headers("")
    assert api.ask("HEAD", "/v1/objects/b/o?props=colour").status_code == 400


def uploads(api: API) -> None:
    upload = api.ask("POST", "/v1/objects/b/whole", {"action": "mpt-upload"}).text
    url = f"/v1/objects/b/whole?uploadId={upload}"
    for number in (1, 2):
        assert api.ask("PUT", f"{url}&partNumber={number}", data=b"x").status_code == 200
    empty = api.ask("PUT", f"{url}&partNumber=3", data=b"")
    assert (empty.status_code, "invalid size (0)" in empty.text) == (400, True)

    def complete(*numbers: int) -> requests.Response:
        parts = [{"part-number": number, "etag": ""} for number in numbers]
        return api.ask("POST", url, {"action": "mpt-complete", "value": parts})

    tries = [complete(), complete(1), complete(1, 1, 2), complete(1, 2), complete(1, 2)]
    assert [one.status_code for one in tries] == [400, 400, 400, 200, 404]
    assert "no chunks" in tries[0].text
    assert api.ask("DELETE", url).status_code == 404


def easy_urls(api: API) -> None:
    assert api.ask("PUT", "/ais/b/easy", data=b"x").status_code == 200
    assert api.ask("GET", "/ais/b/easy").content == b"x"


def no_promotion(api: API) -> None:
    asked = {"action": "promote", "name": str(PAGE), "value": {"src": str(PAGE), "obj": "page"}}
    answer = api.ask("POST", "/v1/objects/b", asked)
    assert (answer.status_code, "start it with --promote DIR" in answer.json()["message"]) == (501, True)


def deletion(api: API) -> None:
    api.put("large", *(f"o{number}" for number in range(20)))
    assert api.ask("DELETE", "/v1/buckets/large", {"action": "destroy-bck"}).status_code == 200
    assert api.ask("HEAD", "/v1/buckets/large").status_code == 404
    api.put("large", "new")
    assert api.names("large") == ["new"]


Check = Callable[[API], None]

CHECKS: dict[str, tuple[Check, Check]] = {
    # a line of the table: (a check of the node, a check of the node with --strict)
    "a range of a transformed object": (a_range, a_range),
    "HEAD with `etl_name`": (head_with_etl, head_with_etl),
    "a read whose transform fails": (failing_read, failing_read),
    "the same over ws": (failing_read_over_ws, failing_read_over_ws),
    "a read that takes longer than `obj_timeout`": (too_slow, too_slow),
    "copy of one object: done, failed, no such ETL": (copies_of_one, copies_of_one),
    "a read through a pipeline that begins with hpull": (pipeline_from_hpull, no_pipeline_from_hpull),
    "a pipeline with a missing stage: read, job": (missing_stage, missing_stage),
    "`path` under ws": (path_under_ws, path_under_ws),
    "a read's content type": (content_type, content_type),
    "an `init` that fails; again": (failed_init, failed_init),
    "stop or delete of an ETL that is initialised": (ended_while_initializing, ended_while_initializing),
    "delete of an ETL that runs": (deleted_while_running, deleted_while_running),
    "view and logs of a stopped ETL": (stopped_is_viewed, stopped_is_not_viewed),
    "read and job with a stopped ETL": (stopped_is_not_used, stopped_is_not_used),
    "stop or delete of another ETL": (others_jobs_go_on, others_jobs_go_on),
    "view of a name that is too short": (view_of_a_short_name, view_of_a_short_name),
    "`init` of a name that exists, with an unknown image": (init_of_a_name_that_exists, init_of_a_name_that_exists),
    "the name `-abcde-`": (name_with_hyphens, name_with_hyphens),
    "list of ETLs: objects and bytes": (counts_of_all_targets, counts_of_all_targets),
    "view: keys": (view_has_the_stage, view_has_no_stage),
    "errors of a job's objects": (errors_of_objects, errors_of_objects),
    "snapshot of a job": (snapshots, snapshots),
    "jobs over lists: ids": (a_job_each, a_job_each),
    "templates `s-{a,b}`, `{a..b}`, `t{}`, `t{02..00}`": (
        malformed_template_is_refused,
        malformed_template_does_nothing,
    ),
    "templates: empty, `s-`, `t@1.txt`, `t%02d`": (templates, templates),
    "a name of a range that is missing": (missing_names_of_a_range, missing_names_of_a_range),
    "a bucket through an ETL into itself": (onto_itself, onto_itself),
    "an unknown field in a job's message": (unknown_field, unknown_field),
    "`a`, then `a/b`, on one disk": (below_an_object, below_an_object_strictly),
    "names `/lead`, `a//b`, a part of 300 bytes": (refused_names, refused_names),
    "names `tr/`, `./x`, `x/../y`": (names_that_both_refuse, names_that_both_refuse),
    "list flags of remote buckets (bits 9, 12, 15); of archives (3)": (list_flags, list_flags),
    "list without recursion and without folders": (no_folders, folders_all_the_same),
    "a listing in JSON, not in MessagePack": (listing_in_json, listing_in_json),
    "kinds of errors (`tcode`)": (kinds_of_errors, kinds_of_errors),
    "requests for objects at the proxy": (no_redirect, no_redirect),
    "HEAD with chosen properties": (chosen_properties, chosen_properties),
    "an upload completed without parts, with fewer, one twice, all, again": (uploads, uploads),
    "`/ais/<bucket>/<object>`": (easy_urls, easy_urls),
    "promote of a file of a target's machine": (no_promotion, no_promotion),
    "delete of a large bucket": (deletion, deletion),
}


def test_the_table_has_a_line_for_each_check() -> None:
    section = PAGE.read_text().partition("## Beside AIStore's answers")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (?!asked \||---)(.+?) \| ", section, re.MULTILINE)
    assert lines == list(CHECKS)


@pytest.mark.whole
@pytest.mark.parametrize("asked", CHECKS)
def test_the_node_answers_as_the_table_says(api: API, asked: str) -> None:
    CHECKS[asked][0](api)


@pytest.mark.whole
@pytest.mark.parametrize("asked", CHECKS)
def test_a_strict_node_answers_as_the_table_says(strict: API, asked: str) -> None:
    CHECKS[asked][1](strict)
