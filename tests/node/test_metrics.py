"""/metrics of a node."""

from pathlib import Path

import requests

from instore import ETLServer
from tests.node.test_access import TOKEN
from tests.support.metrics import documented, scrape
from tests.support.node import running_node

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_a_node_counts_requests_and_what_its_etls_have_transformed(tmp_path: Path) -> None:
    class Twice(ETLServer):
        def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
            assert isinstance(data, bytes)
            return data + data

    with running_node(tmp_path, environment={"AIS_AUTHN_TOKEN": TOKEN}) as node:
        assert requests.get(f"{node.endpoint}/metrics").status_code == 401
        client = node.client(TOKEN)
        bucket = client.bucket("b").create()
        bucket.object("o").get_writer().put_content(b"abc")
        client.etl("twice-etl").init_class()(Twice)
        job = bucket.transform(etl_name="twice-etl", to_bck=client.bucket("c"))
        client.job(job).wait()
        assert client.bucket("c").object("o").get_reader().read_all() == b"abcabc"
        told = scrape(node.endpoint, BEARER)
    assert told.sum("instore_node_etl_objects_total", etl="twice-etl") == 1
    assert told.sum("instore_node_etl_result_bytes_total", etl="twice-etl") == 6
    assert told.sum("instore_node_requests_total", method="GET", status="401") == 1
    assert told.sum("instore_node_requests_total", method="PUT", status="200") >= 2
    assert told["instore_node_requests_in_progress"] == 1  # this one
    kinds = {name + "_total" * (kind == "counter"): kind for name, kind in told.kinds.items()}
    assert kinds == {name: kind for name, (kind, _) in documented("node").items()}
    had: dict[str, set[str]] = {}
    for name, labels, _ in told.samples:
        had.setdefault(name, set()).update(labels)
    # No job runs any more, so that there is none to have a label.
    assert {"instore_node_jobs": {"kind"}, **had} == {name: labels for name, (_, labels) in documented("node").items()}
