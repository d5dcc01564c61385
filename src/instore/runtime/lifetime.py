"""How long a worker stays, and when it is taken for lost (docs/limits.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from instore.http.limits import Limits, parse_bound, variable_of
from instore.system.sizes import parse_size


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a supervisor replaces a worker. Each can be set by a variable of its name, as a server's limits.

    Attributes:
        silent_time: seconds without a sign of life of its event loop.
        recycle_after: objects that it has served; 0: any number.
        recycle_above: bytes of memory that it has; 0: any.
        grace: seconds that it has for what is under way.
    """

    silent_time: float = 60.0
    recycle_after: int = 0
    recycle_above: int = 0
    grace: float = 30.0

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Lifetime":
        """What `variables` set.

        Raises:
            ConfigurationError: one of them is no such number.
        """
        found = {
            name: parse_bound(name, value)
            for name in ("silent_time", "recycle_after")
            if (value := variables.get(variable_of(name), "").strip())
        }
        size = variables.get(variable_of("recycle_above"), "").strip()
        above = parse_size(variable_of("recycle_above"), size) if size else 0
        return cls(**found, recycle_above=above, grace=Limits.read(variables).grace)  # type: ignore[arg-type]

    @property
    def recycles(self) -> bool:
        """Whether workers are replaced that are well."""
        return bool(self.recycle_after or self.recycle_above)
