"""The message that makes an ETL: what may stand in it, and what is said of the rest."""

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.protocol.etl_spec_fields import faults, quantity, seconds

GOOD: dict[str, Any] = {
    "name": "thumb-nails",
    "communication": "hpush://",
    "init_timeout": "5m",
    "obj_timeout": "45s",
    "support_direct_put": True,
    "runtime": {
        "image": "registry.example:5000/team/etl:1.0",
        "command": ["instore", "serve", "etl.py:Thumb"],
        "env": [{"name": "SEED", "value": "7"}, {"name": "EMPTY", "value": ""}],
    },
    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2, "memory": "2Gi"}},
}
REMOVED = object()


def changed(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The good message with one part changed, added or removed."""
    spec = copy.deepcopy(GOOD)
    part: Any = spec
    for key in place[:-1]:
        part = part[key]
    if value is REMOVED:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return spec


def test_nothing_is_wrong_with_a_good_one() -> None:
    assert faults(GOOD) == []
    assert faults({"name": "abcdef", "communication": "hpull://", "runtime": {"image": "etl"}}) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), "abcde0"),
        (("name",), "a" * 32),
        (("name",), "1-2--3"),
        (("communication",), "hpull://"),
        (("communication",), "ws://"),
        (("init_timeout",), "1h30m"),
        (("obj_timeout",), "1.5s"),
        (("obj_timeout",), "100ms"),
        (("support_direct_put",), False),
        (("runtime", "image"), "etl"),
        (("runtime", "image"), "localhost:5000/etl"),
        (("runtime", "image"), f"docker.io/a/b-c_d@sha256:{'0' * 64}"),
        (("runtime", "env", 0, "name"), "my.name-1"),
        (("runtime", "env"), []),
        (("resources",), {}),
        (("resources", "limits", "cpu"), 0.5),
    ],
)
def test_what_may_stand_there(place: tuple[str | int, ...], value: object) -> None:
    assert faults(changed(place, value)) == []


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("name",), REMOVED, "has no name"),
        (("name",), "short", "name: a name has 6 to 32 characters; 'short' has 5"),
        (("name",), "a" * 33, "has 33"),
        (("name",), "Abcdef", "name: 'Abcdef' is not a valid name: use a to z, 0 to 9 and hyphens"),
        (("name",), "abc_def", "is not a valid name"),
        (("name",), "abcdef\n", "is not a valid name"),
        (("name",), 123456, 'name: is a number, expected text: write "123456" in quotes'),
        (("name",), None, "name: is empty, expected text"),
        (("communication",), REMOVED, "has no communication"),
        (("communication",), "hpush", "communication: 'hpush' is not one of hpush://, hpull://, ws://"),
        (("communication",), "io://", "is not one of"),
        (("init_timeout",), "5 minutes", "init_timeout: '5 minutes' is not a valid duration: write 45s, 5m or 1h30m"),
        (("init_timeout",), "", "is not a valid duration"),
        (("init_timeout",), "5", "is not a valid duration"),
        (("init_timeout",), "-5m", "is not a valid duration"),
        (("init_timeout",), "0s", "init_timeout: '0s' is not a valid duration: it has to be longer than 0"),
        (("obj_timeout",), 45, "obj_timeout: is a number, expected text: write 45s, for 45 seconds"),
        (("support_direct_put",), "true", "support_direct_put: is text; it is true or false, without quotes"),
        (("support_direct_put",), None, "support_direct_put: is empty; it is true or false"),
        (("runtime",), REMOVED, "has no runtime"),
        (("runtime",), "etl:1.0", "runtime: is text, expected keys and values: image, command, env"),
        (("runtime", "image"), REMOVED, "runtime: has no image"),
        (("runtime", "image"), "My Image", "runtime.image: 'My Image' is not a valid image name: write"),
        (("runtime", "image"), "", "is not a valid image name"),
        (("runtime", "image"), "etl:", "is not a valid image name"),
        (("runtime", "command"), "instore serve", "runtime.command: is text, expected a list"),
        (("runtime", "command"), [], "runtime.command: is an empty list"),
        (("runtime", "command"), ["a", 1], "runtime.command[1]: is a number, expected text"),
        (("runtime", "command"), ["a", ""], "runtime.command[1]: is empty"),
        (("runtime", "command"), ["a\0"], "has a character that no command line can have"),
        (
            ("runtime", "args"),
            ["x"],
            "runtime.args: is not a valid key here; write the arguments behind the command's name",
        ),
        (("runtime", "env"), {"A": "1"}, "runtime.env: is keys and values, expected a list"),
        (("runtime", "env", 0), "A=1", "runtime.env[0]: is text, expected keys and values: name, value"),
        (("runtime", "env", 0, "name"), "1A", "runtime.env[0].name: '1A' is not a valid variable name"),
        (("runtime", "env", 0, "name"), "A=B", "is not a valid variable name"),
        (("runtime", "env", 0, "name"), "EMPTY", "runtime.env[1].name: EMPTY is there twice"),
        (("runtime", "env", 0, "name"), "AIS_TARGET_URL", "runtime.env[0].name: AIS_TARGET_URL is set by the cluster"),
        (("runtime", "env", 0, "name"), REMOVED, "runtime.env[0]: has no name"),
        (("runtime", "env", 0, "value"), REMOVED, "runtime.env[0]: has no value"),
        (("runtime", "env", 0, "value"), 7, 'runtime.env[0].value: is a number, expected text: write "7" in'),
        (("runtime", "env", 0, "value"), True, 'is true or false, expected text: write "true" in quotes'),
        (
            ("runtime", "env", 0, "valueFrom"),
            {},
            "runtime.env[0].valueFrom: is not a valid key here; there are name, value",
        ),
        (("resources", "cpu"), "1", "resources.cpu: is not a valid key here; there are requests, limits"),
        (("resources", "limits"), "1", "resources.limits: is text, expected keys and values"),
        (("resources", "limits", "disk"), "1", "resources.limits.disk: is not a valid key here"),
        (("resources", "limits", "cpu"), "lots", "resources.limits.cpu: 'lots' is not a valid amount: write 500m"),
        (("resources", "limits", "cpu"), True, "is not a valid amount"),
        (("resources", "limits", "cpu"), "0", "is not a valid amount"),
        (("resources", "limits", "cpu"), "-1", "is not a valid amount"),
        (("resources", "limits", "cpu"), "400m", "resources.requests.cpu: is more than its limit"),
        (("resources", "limits", "memory"), "1G", "resources.requests.memory: is more than its limit"),
        (("resources",), [], "resources: is a list, expected keys and values"),
        (("timeout",), "5m", "timeout: is not a valid key here; there are init_timeout and obj_timeout"),
        (("argument",), "fqn", "argument: is not a valid key here; for the file's path in place of its bytes"),
        (("extra",), 1, "extra: is not a valid key here; there are name, communication"),
        ((1,), 1, "1: is not a valid key here"),
    ],
)
def test_what_may_not(place: tuple[str | int, ...], value: object, sentence: str) -> None:
    [fault] = faults(changed(place, value))
    assert sentence in str(fault)


@pytest.mark.parametrize("where", [(), ("runtime",)], ids=["top", "runtime"])
@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("readinessProbe", "AIStore has each pod asked for its /health"),
        ("livenessProbe", "AIStore's pods have none"),
        ("terminationGracePeriodSeconds", "AIStore ends its pods at once"),
        ("securityContext", "the image names its user, with USER in the Dockerfile"),
        ("volumes", "AIStore's pods have the target's volumes, and no others"),
        ("volumeMounts", "AIStore's pods have the target's volumes, and no others"),
        ("ports", "AIStore's pods listen on port 8000"),
    ],
)
def test_what_aistore_sets_of_a_pod_itself_is_said_to_be_so(where: tuple[str, ...], key: str, hint: str) -> None:
    (fault,) = faults(changed((*where, key), {"httpGet": {"path": "/ready"}}))
    assert fault.place == (*where, key)
    assert hint in fault.text


@pytest.mark.parametrize("direct_put", [REMOVED, False])
def test_web_socket_needs_direct_put(direct_put: object) -> None:
    spec = changed(("support_direct_put",), direct_put)
    spec["communication"] = "ws://"
    assert [str(fault) for fault in faults(spec)] == [
        "communication: ws:// needs direct put: add support_direct_put: true"
    ]


@pytest.mark.parametrize("spec", [{"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}}, {"kind": "Pod"}])
def test_the_older_form_is_said_to_be_that(spec: object) -> None:
    [fault] = faults(spec)
    assert "is a Kubernetes pod, the older form of an ETL" in str(fault)


@pytest.mark.parametrize(("spec", "kind"), [(None, "empty"), ([], "a list"), ("x", "text"), (b"x", "a bytes")])
def test_what_is_no_message_at_all_is_said(spec: object, kind: str) -> None:
    [fault] = faults(spec)
    assert str(fault).startswith(f"is {kind}; an ETL is keys and values")


def test_all_faults_are_found_at_once() -> None:
    spec = {"name": "A", "communication": 1, "init_timeout": "x", "runtime": {"env": [{}, 1]}, "more": 1}
    assert [fault.place for fault in faults(spec)] == [
        ("name",),
        ("communication",),
        ("init_timeout",),
        ("runtime",),
        ("runtime", "env", 0),
        ("runtime", "env", 0),
        ("runtime", "env", 1),
        ("more",),
    ]


@pytest.mark.parametrize(
    ("text", "length"),
    [("45s", 45), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), (".5s", 0.5), ("1m1s", 61), ("0s", 0)],
)
def test_durations_are_those_of_go(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "s", "5", "5 m", "5m ", "m5", "1d", "5M", ".s", "１s", "5m-1s"])
def test_what_is_no_duration(text: str) -> None:
    assert seconds(text) is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [("500m", "0.5"), (2, "2"), (0.5, "0.5"), ("1k", "1000"), ("1Ki", "1024"), ("2Gi", str(2 << 30)), ("1e3", "1000")],
)
def test_amounts_are_those_of_kubernetes(value: object, amount: str) -> None:
    assert quantity(value) == Decimal(amount)


@pytest.mark.parametrize("value", ["", "x", "1 Gi", "-1", "1gi", None, True, [], "１"])
def test_what_is_no_amount(value: object) -> None:
    assert quantity(value) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(GOOD)), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_plain_data_is_judged_without_an_exception(spec: object) -> None:
    assert all(str(fault) for fault in faults(spec))
