"""What the documentation and the dashboard say of metrics: each is there, and each that is there is said."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from instore.http.limits import Limits
from instore.server.families import families
from instore.server.metrics import ObjectCounters
from tests.support.metrics import documented

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
OPERATING = (ROOT / "docs" / "operating.md").read_text()
_NAME = re.compile(r"\binstore_[a-z_]+\b")
_OF_HISTOGRAMS = re.compile(r"(_seconds)_(?:bucket|sum|count)$")
_FENCED = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def names(text: str) -> set[str]:
    """The metrics that an expression is about."""
    return {_OF_HISTOGRAMS.sub(r"\1", name) for name in _NAME.findall(text)}


def labels(text: str) -> set[str]:
    """The labels that an expression selects or sums by; those that Prometheus adds itself left out."""
    selected = re.findall(r"[{,](\w+)(?==)", text)
    summed = re.findall(r"\b(?:by|without) \(([^)]*)\)", text)
    return {*selected, *(name.strip() for one in summed for name in one.split(","))} - {"job", "instance", "le"}


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel.get("targets", [])]


DOCUMENTED = {**documented("server"), **documented("node")}
ALL = [expression for panel in DASHBOARD["panels"] for expression in expressions(panel)]
EXAMPLES = [yaml.safe_load(block) for block in _FENCED.findall(OPERATING)]


def test_every_metric_of_a_server_is_in_the_documentation_with_its_kind_and_labels() -> None:
    counters = ObjectCounters()
    kinds = {}
    for family in families(counters.pages):
        name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
        own = {label for sample in family.samples for label in sample.labels} - {"le"}
        kinds[name] = ("gauge" if family.type == "info" else family.type, own)
    assert documented("server") == kinds


def test_the_dashboard_asks_for_every_metric_and_for_no_other() -> None:
    assert {name for expression in ALL for name in names(expression)} == DOCUMENTED.keys()


def test_the_dashboard_and_the_alerts_use_labels_that_their_metrics_have() -> None:
    alerts = [rule["expr"] for example in EXAMPLES if "groups" in example for rule in example["groups"][0]["rules"]]
    assert len(alerts) >= 5
    for expression in [*ALL, *alerts]:
        asked = names(expression)
        assert asked <= DOCUMENTED.keys(), expression
        assert labels(expression) <= set().union(*(DOCUMENTED[name][1] for name in asked)), expression


def test_the_dashboard_s_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def test_the_security_page_says_of_every_bound_what_it_is_for() -> None:
    bounds = set(re.findall(r"^\| `(INSTORE_\w+)`", (ROOT / "docs" / "limits.md").read_text(), re.MULTILINE))
    table = (ROOT / "docs" / "security.md").read_text().partition("\n## Bounds\n")[2].partition("\n## ")[0]
    assert len(bounds) > 10
    assert bounds <= set(re.findall(r"INSTORE_\w+", table))


def test_the_pod_of_the_documentation_outlives_the_server_s_own_grace() -> None:
    (pod,) = (example for example in EXAMPLES if example.get("kind") == "Pod")
    (container,) = pod["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    limits = Limits.read(variables)
    assert pod["spec"]["terminationGracePeriodSeconds"] > limits.grace
    (volume,) = pod["spec"]["volumes"]
    (mount,) = container["volumeMounts"]
    assert volume["name"] == mount["name"]
    assert variables["TMPDIR"] == mount["mountPath"]
