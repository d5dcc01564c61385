"""Who may talk to a node."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from aistore.sdk.errors import AISError

from tests.support.node import RunningNode, running_node

TOKEN = "a-token-for-tests"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(
        Path(tmp_path_factory.mktemp("guarded")),
        targets=2,
        environment={"AIS_AUTHN_TOKEN": TOKEN},
        options=["--host", "0.0.0.0"],
    ) as running:
        yield running


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(Path(tmp_path_factory.mktemp("open"))) as running:
        yield running


def test_who_has_the_token_is_let_in(guarded: RunningNode) -> None:
    bucket = guarded.client(TOKEN).bucket("b").create(exist_ok=True)
    bucket.object("o").get_writer().put_content(b"x")
    assert bucket.object("o").get_reader().read_all() == b"x"
    assert bucket.object("o").get_reader(direct=True).read_all() == b"x"


@pytest.mark.parametrize("token", ["", "another", TOKEN + "x", TOKEN[:-1]])
def test_who_has_it_not_is_refused_in_the_sdk_s_form(guarded: RunningNode, token: str) -> None:
    with pytest.raises(AISError, match="token") as refused:
        guarded.client(token).bucket("b").list_objects()
    assert refused.value.status_code == 401
    for target in guarded.client(TOKEN).cluster().get_info().tmap.values():
        answer = requests.get(
            f"{target.public_net.direct_url}/v1/objects/b/o", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401
        assert TOKEN not in answer.text


def test_the_token_works_for_web_pages_and_names_too(guarded: RunningNode) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "node.example:1", "Origin": "http://page.example"}
    assert requests.get(f"{guarded.endpoint}/v1/daemon?what=smap", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:51080"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1].evil.example"},
        {"Host": "[::1]:80.evil.example"},
        {"Host": "[::1"},
        {"Host": "x[::1]"},
        {"Host": "localhost.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_without_a_token_web_pages_of_elsewhere_are_refused(open_node: RunningNode, headers: dict[str, str]) -> None:
    url = f"{open_node.endpoint}/v1/buckets/b"
    assert requests.post(url, headers=headers, data='{"action": "create-bck"}').status_code == 403
    assert open_node.client().cluster().list_buckets() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:80", "[::1]:80", "10.0.0.1:80", "a.localhost"])
def test_without_a_token_addresses_and_localhost_are_names_enough(open_node: RunningNode, host: str) -> None:
    answer = requests.get(
        f"{open_node.endpoint}/v1/daemon?what=smap", headers={"Host": host, "Origin": f"http://{host}"}
    )
    assert answer.status_code == 200
