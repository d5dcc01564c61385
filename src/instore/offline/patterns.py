"""Which names a job is about, by patterns: `--include` and `--exclude`."""

from collections.abc import Sequence

from instore.system.globs import Matches, compiled


def matcher(include: Sequence[str], exclude: Sequence[str]) -> Matches:
    """Whether a name matches one of `include`, or there is none, and none of `exclude`."""
    included = compiled("--include", include) if include else lambda _: True
    excluded = compiled("--exclude", exclude) if exclude else lambda _: False
    return lambda name: included(name) and not excluded(name)
