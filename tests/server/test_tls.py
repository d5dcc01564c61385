"""TLS, outbound and inbound: the target's certificate, ours, and the token (docs/protocol.md#environment)."""

import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme
from websockets.sync.client import connect

from instore.protocol.names import escape_segment
from tests.server.conftest import BUFFERED, STREAMED
from tests.support.servers import Server, running
from tests.support.target import Target, running_target

UNAME = "ais/@#/photos/cat"


@dataclass
class Certificates:
    """Paths of a CA's certificate, of another's, and of a client's certificate and key."""

    ca: str
    other_ca: str
    client: str
    client_key: str


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificates(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    client = authority.issue_cert("client@example.org")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    names = ("ca.pem", "other.pem", "client.pem", "client.key")
    return Certificates(*(str(folder / name) for name in names))


@pytest.fixture(scope="module")
def secure_target(authority: trustme.CA, certificates: Certificates) -> Iterator[Target]:
    """A target that shows a certificate and demands one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running_target(context) as target:
        target.objects[escape_segment(UNAME)] = b"cat"
        yield target


def test_objects_are_pulled_and_put_over_mutual_tls_with_the_token(
    tmp_path: Path, secure_target: Target, certificates: Certificates
) -> None:
    variables = {
        "AIS_CLIENT_CA": certificates.ca,
        "AIS_CRT": certificates.client,
        "AIS_CRT_KEY": certificates.client_key,
        "AIS_AUTHN_TOKEN": "the-token-of-the-cluster",
    }
    with running(tmp_path, BUFFERED, target_url=secure_target.url, environment=variables) as server:
        pulled = requests.get(f"{server.url}/{escape_segment(UNAME)}")
        next_hop = {"Ais-Node-Url": f"{secure_target.host}/ais%2Fx"}
        put = requests.put(f"{server.url}/photos/cat", data=b"cat", headers=next_hop)
    assert (pulled.status_code, pulled.content) == (200, b"<CAT>")
    assert put.status_code == 204
    assert secure_target.puts[-1].body == b"<CAT>"
    assert secure_target.puts[-1].headers["authorization"] == "Bearer the-token-of-the-cluster"


@pytest.mark.parametrize("skip", ["true", "false"])
def test_an_unknown_certificate_is_refused_unless_verification_is_off(
    tmp_path: Path, secure_target: Target, certificates: Certificates, skip: str
) -> None:
    variables = {
        "AIS_CLIENT_CA": certificates.other_ca,
        "AIS_CRT": certificates.client,
        "AIS_CRT_KEY": certificates.client_key,
        "AIS_SKIP_VERIFY_CRT": skip,
    }
    with running(tmp_path, BUFFERED, target_url=secure_target.url, environment=variables) as server:
        answer = requests.get(f"{server.url}/{escape_segment(UNAME)}")
    assert answer.status_code == (200 if skip == "true" else 502)


def test_a_certificate_that_can_not_be_loaded_stops_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="can't load the certificates of AIS_CLIENT_CA"),
        running(tmp_path, BUFFERED, environment={"AIS_CLIENT_CA": "/none.pem"}),
    ):
        pass


def serving(
    folder: Path, authority: trustme.CA, certificates: Certificates, kind: str
) -> AbstractContextManager[Server]:
    """A server that speaks TLS."""
    shown = authority.issue_cert("127.0.0.1")
    shown.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    shown.private_key_pem.write_to_path(str(folder / "server.key"))
    variables = {
        "INSTORE_TLS": kind,
        "AIS_CRT": str(folder / "server.pem"),
        "AIS_CRT_KEY": str(folder / "server.key"),
        "AIS_CLIENT_CA": certificates.ca,
    }
    return running(folder, STREAMED, environment=variables, scheme="https", options=("--log-level", "debug"))


@pytest.mark.parametrize("size", [3, 1 << 20, 20 << 20])
def test_objects_come_and_go_over_tls(
    tmp_path: Path, authority: trustme.CA, certificates: Certificates, size: int
) -> None:
    body = b"x" * size
    with serving(tmp_path, authority, certificates, "server") as server:
        assert server.url.startswith("https://")
        for _ in range(2):
            answer = requests.put(f"{server.url}/b/o", data=body, verify=certificates.ca, timeout=30)
            assert answer.content == b"<" + body.upper() + b">"


def test_a_websocket_goes_over_tls(tmp_path: Path, authority: trustme.CA, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=certificates.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # as in `tests.faults.doors`
    with (
        serving(tmp_path, authority, certificates, "server") as server,
        connect(f"wss://{server.host}:{server.port}/ws", ssl=context) as client,
    ):
        for _ in range(3):
            client.send(b'{"path": "b/o"}')
            client.send(b"cat")
            assert client.recv(30) == b"<CAT>"


def test_mutual_tls_takes_only_clients_that_show_a_certificate(
    tmp_path: Path, authority: trustme.CA, certificates: Certificates
) -> None:
    shown = (certificates.client, certificates.client_key)
    with serving(tmp_path, authority, certificates, "mutual") as server:
        answer = requests.put(f"{server.url}/b/o", data=b"cat", verify=certificates.ca, cert=shown, timeout=30)
        assert answer.content == b"<CAT>"
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{server.url}/b/o", data=b"cat", verify=certificates.ca, timeout=30)
        answer = requests.put(f"{server.url}/b/o", data=b"cat", verify=certificates.ca, cert=shown, timeout=30)
        assert answer.content == b"<CAT>"


def test_a_client_without_tls_is_not_answered_in_plain_text(
    tmp_path: Path, authority: trustme.CA, certificates: Certificates
) -> None:
    with (
        serving(tmp_path, authority, certificates, "server") as server,
        pytest.raises(requests.ConnectionError),
    ):
        requests.put(f"http://{server.host}:{server.port}/b/o", data=b"cat", timeout=30)
