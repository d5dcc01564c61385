"""An `etl_spec.yaml`: read with the line of everything in it, checked, written."""

from collections.abc import Mapping
from typing import Any

import yaml

from instore.errors import ConfigurationError
from instore.protocol.etl_spec_fields import Fault, Place, faults


def check_file(path: str) -> list[str]:
    """All that is wrong with a file, a sentence each, `FILE:LINE: …`; in the order of the lines."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"can't read {path}: {error}") from error
    try:
        documents = [node for node in yaml.compose_all(text, yaml.SafeLoader) if not _is_empty(node)]
    except yaml.YAMLError as error:
        return [_not_yaml(path, error)]
    if len(documents) != 1:
        return [f"{path}: holds {len(documents)} YAML documents; an ETL is one"]
    reading = _SpecDocument()
    try:
        data = reading.value(documents[0], ())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return [_not_yaml(path, error)]
    found = sorted([*reading.twice, *faults(data)], key=lambda fault: reading.line(fault.place))
    return [f"{path}:{reading.line(fault.place)}: {fault}" for fault in found]


class _SpecDocument:
    """Plain data from YAML's nodes, and the line that each part of it stands in.

    Attributes:
        twice: keys that are there twice, of which YAML itself would keep the last without a word.
    """

    def __init__(self) -> None:
        self.twice: list[Fault] = []
        self._lines: dict[Place, int] = {}
        self._constructor = yaml.SafeLoader("")

    def line(self, place: Place) -> int:
        """The line of a part, or of the part that it would be in."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def value(self, node: yaml.Node, place: Place) -> Any:
        """What a node stands for."""
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._constructor.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.YAMLError(f"a key is not a text (line {key_node.start_mark.line + 1})")
            key = self._constructor.construct_object(key_node)
            here = (*place, str(key))
            if key in values:
                self.twice.append(Fault(here, f"is there twice, in line {self._lines[here]} already"))
            self._lines[here] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, here)
        return values


def _not_yaml(path: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = " ".join((getattr(error, "problem", None) or str(error)).split())
    return f"{path}:{mark.line + 1 if mark else 1}: is not YAML: {what}"


def _is_empty(node: yaml.Node) -> bool:
    """Whether nothing stands between two lines of `---`."""
    return isinstance(node, yaml.ScalarNode) and not node.value and node.style is None


def to_yaml(spec: Mapping[str, Any]) -> str:
    """The text of a file."""
    text: str = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=120)
    return text
