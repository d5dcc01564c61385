"""Which hosts a result may be put to, and with what they are refused."""

import pytest
import requests

from instore.errors import ConfigurationError, ForbiddenAddressError
from instore.protocol.environment import Environment
from instore.server.next_hops import NextHops
from tests.server.conftest import BUFFERED
from tests.server.test_direct_put import DESTINATION
from tests.support.servers import SECRET, Server, running
from tests.support.target import Target, running_target

TOKEN = "the-token-of-the-cluster"


def hops(named: str = "", target: str = "http://10.1.2.3:51081/secret") -> NextHops:
    return NextHops(Environment.read({"AIS_TARGET_URL": target, "INSTORE_NEXT_HOPS": named}))


PRIVATE = ["127.0.0.1", "10.0.0.7", "172.16.3.4", "192.168.1.1", "100.64.0.9", "::1", "fd00::7", "::ffff:10.0.0.7"]
OUTSIDE = ["8.8.8.8", "169.254.169.254", "fe80::1%eth0", "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "224.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_where_a_cluster_is(address: str) -> None:
    hops().check(address, "any.name")


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_and_link_local_addresses_get_no_secret_unless_they_are_named(address: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="name it in INSTORE_NEXT_HOPS"):
        hops().check(address, "any.name")
    hops("any.name").check(address, "any.name")


def test_the_targets_own_host_is_always_allowed() -> None:
    hops(target="http://node.example:51081/secret").check("8.8.8.8", "node.example")
    hops("10.0.0.0/8", target="http://node.example:51081/secret").check("8.8.8.8", "node.example")


@pytest.mark.parametrize(
    ("named", "address", "host"),
    [
        ("10.0.0.7", "10.0.0.7", "a"),
        ("8.8.8.8", "8.8.8.8", "a"),
        ("10.0.0.0/8, 192.168.0.0/16", "192.168.1.1", "a"),
        ("10.0.0.0/8", "::ffff:10.0.0.7", "a"),
        ("fd00::/8", "fd00::1", "a"),
        ("etl-a", "10.0.0.7", "etl-a"),
        ("ETL-a.ais", "8.8.8.8", "etl-a.ais"),
        (".svc.cluster.local", "8.8.8.8", "etl.ais.svc.cluster.local"),
    ],
)
def test_what_is_named_is_allowed(named: str, address: str, host: str) -> None:
    hops(named).check(address, host)


@pytest.mark.parametrize(
    ("named", "address", "host"),
    [
        ("10.0.0.7", "10.0.0.8", "a"),
        ("10.0.0.0/8", "127.0.0.1", "a"),
        ("10.0.0.0/8", "fd00::1", "a"),
        ("etl-a", "10.0.0.7", "etl-ab"),
        ("etl-a", "10.0.0.7", "etl-a.example"),
        (".example", "10.0.0.7", "example"),
        (".example", "10.0.0.7", "counterexample"),
    ],
)
def test_where_hosts_are_named_no_other_is_allowed(named: str, address: str, host: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="INSTORE_NEXT_HOPS does not name it"):
        hops(named).check(address, host)


@pytest.mark.parametrize("named", ["10.0.0", "10.0.0.0/33", "10.0.0.1/8", "http://a", "a:80", "a b", "*.a", "a/b"])
def test_an_entry_that_is_no_host_is_refused_at_the_start(named: str) -> None:
    with pytest.raises(ConfigurationError, match="INSTORE_NEXT_HOPS has the entry"):
        hops(named)


@pytest.mark.parametrize("path", [DESTINATION, ""], ids=["target", "stage"])
def test_a_hop_that_is_not_named_is_403_and_hears_nothing(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    variables = {"INSTORE_NEXT_HOPS": "10.9.8.7", "AIS_AUTHN_TOKEN": TOKEN}
    with running_target() as elsewhere, running(tmp_path_factory.mktemp("etl"), BUFFERED, environment=variables) as etl:
        pipeline = f"http://localhost:{elsewhere.port}{path}"
        answer = requests.put(f"{etl.url}/b/o", data=b"cat", headers={"Ais-Node-Url": pipeline})
        assert answer.status_code == 403
        assert "localhost can't be a next hop: INSTORE_NEXT_HOPS does not name it" in answer.text
        assert not elsewhere.puts
        for word in (SECRET, TOKEN):
            assert word not in answer.text + etl.log_text()


@pytest.mark.parametrize("named", ["localhost", "127.0.0.0/8, ::1", ""])
def test_a_hop_that_is_named_is_reached_by_whichever_of_its_addresses_answers(
    tmp_path_factory: pytest.TempPathFactory, target: Target, named: str
) -> None:
    target.puts.clear()
    with running(tmp_path_factory.mktemp("etl"), BUFFERED, environment={"INSTORE_NEXT_HOPS": named}) as etl:
        pipeline = f"http://localhost:{target.port}{DESTINATION}"
        answer = requests.put(f"{etl.url}/b/o", data=b"cat", headers={"Ais-Node-Url": pipeline})
    assert answer.status_code == 204
    assert [put.body for put in target.puts] == [b"<CAT>"]


@pytest.mark.parametrize(
    "hop",
    [
        "gopher://127.0.0.1:{port}/x",
        "file://127.0.0.1/etc/passwd",
        "ftp://127.0.0.1:{port}",
        "file:///etc/passwd",
        "http://a..b/x",
        "http://{label}.example/x",
        "http://me:pass-word@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port},http://me:pass-word@127.0.0.1:{port}/x",
    ],
)
def test_a_hop_that_is_no_url_to_put_to_is_400_and_hears_nothing(buffered: Server, target: Target, hop: str) -> None:
    target.puts.clear()
    pipeline = hop.format(port=target.port, label="a" * 64)
    answer = requests.put(f"{buffered.url}/b/o", data=b"cat", headers={"Ais-Node-Url": pipeline})
    assert (answer.status_code, target.puts) == (400, [])
    assert "pass-word" not in answer.text + buffered.log_text()
