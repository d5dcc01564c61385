"""Spans of OpenTelemetry, as a collector gets them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from instore.protocol.names import escape_fqn
from instore.server.metrics import STAGES
from tests.server.conftest import BUFFERED
from tests.server.test_direct_put import DESTINATION
from tests.support.servers import clean_environment, running
from tests.support.target import Target

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector's URL, and the resources with spans that it has got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(owner: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in owner.attributes}


def test_an_object_s_span_is_below_its_caller_s_and_above_the_next_hop_s(
    tmp_path: Path, store: Path, no_puts: Target
) -> None:
    file = store / "cat"
    file.write_bytes(b"cat")
    with collector() as (url, got):
        environment = {"INSTORE_TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        with running(tmp_path, BUFFERED, target_url=no_puts.url, environment=environment) as server:
            put = requests.put(
                f"{server.url}/photos/cat?etl_fqn={escape_fqn(str(file))}",
                headers={
                    "Ais-Node-Url": no_puts.host + DESTINATION,
                    "traceparent": f"00-{TRACE}-{PARENT}-01",
                    "X-Request-Id": "seven",
                },
            )
            assert put.status_code == 204
            assert requests.put(f"{server.url}/photos/up?etl_args=raise", data=b"x").status_code == 422
        # What was not sent yet is sent when the server stops.
        spans = [span for resource in got for scope in resource.scope_spans for span in scope.spans]
        assert attributes(got[0].resource)["service.name"] == "Buffered"
    objects = {attributes(span)["instore.object"]: span for span in spans if span.name == "PUT object"}
    cat, failed = objects["photos/cat"], objects["photos/up"]
    assert (cat.trace_id.hex(), cat.parent_span_id.hex()) == (TRACE, PARENT)
    assert no_puts.puts[0].headers["traceparent"] == f"00-{TRACE}-{cat.span_id.hex()}-01"
    said = attributes(cat)
    assert (said["instore.id"], said["instore.source"], said["instore.put"]) == ("seven", "file", 5)
    assert said["instore.outcome"] == "served"
    stages = [span for span in spans if span.parent_span_id == cat.span_id]
    assert {span.name for span in stages} == set(STAGES)
    for span in stages:
        assert cat.start_time_unix_nano - 1000 <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= cat.end_time_unix_nano + 1000
    assert failed.trace_id.hex() != TRACE
    assert failed.parent_span_id == b""
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert "upside down" in failed.status.message


def test_a_collector_that_is_away_holds_up_neither_objects_nor_the_end(tmp_path: Path) -> None:
    environment = {"INSTORE_TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running(tmp_path, BUFFERED, environment=environment) as server:
        assert requests.put(f"{server.url}/b/o", data=b"x").content == b"<X>"
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_what_is_missing_for_spans_is_said_in_a_sentence(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('there is none')")
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "instore",
            "serve",
            str(BUFFERED),
            "--target-url",
            "http://127.0.0.1:9/a",
            "--port",
            "0",
        ],
        env={**clean_environment(), "INSTORE_TRACES": "true", "PYTHONPATH": str(hidden.parent)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ended.returncode == 2
    assert "instore: INSTORE_TRACES needs OpenTelemetry" in ended.stderr
    assert "pip install 'instore[otel]'" in ended.stderr
    assert "Traceback" not in ended.stderr
