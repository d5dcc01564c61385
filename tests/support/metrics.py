"""What a server or node says at /metrics, as Prometheus' own parser reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families


@dataclass
class Scrape:
    """All that was said.

    Attributes:
        kinds: each family's type, by name.
        samples: name, labels and number, in order.
    """

    kinds: dict[str, str]
    samples: list[tuple[str, Mapping[str, str], float]]

    def __getitem__(self, name: str) -> float:
        """The sum of all samples of a name."""
        return self.sum(name)

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels; it is there, or this fails."""
        numbers = [
            number for sample, had, number in self.samples if sample == name and labels.items() <= dict(had).items()
        ]
        assert numbers, f"{name} {labels} is not there"
        return sum(numbers)


def scrape(url: str, headers: Mapping[str, str] | None = None) -> Scrape:
    """Ask a server, or node, for its metrics."""
    answer = requests.get(f"{url}/metrics", headers=headers)
    answer.raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return read_metrics(answer.text)


def read_metrics(text: str) -> Scrape:
    """What a text says."""
    families = list(text_string_to_metric_families(text))
    return Scrape(
        {family.name: family.type for family in families},
        [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples],
    )


def documented(what: str) -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of the metrics that the documentation says a `server`, a `node` or `transform` has."""
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    beginning = {"server": "Of `instore serve` and", "node": "Of `instore node`", "transform": "Of `instore transform"}[
        what
    ]
    table = page.partition(f"\n{beginning}")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", table, re.MULTILINE)
    assert len(rows) >= 5
    return {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
