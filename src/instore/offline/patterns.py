"""Which names a job is about, by patterns: `--include` and `--exclude`."""

from collections.abc import Callable, Sequence

from instore.errors import ConfigurationError
from instore.system.printable import printable

Matches = Callable[[str], bool]


def matcher(include: Sequence[str], exclude: Sequence[str]) -> Matches:
    """Whether a name matches one of `include`, or there is none, and none of `exclude`.

    `*` and `?` stop at slashes, `**` does not; a pattern without a slash is matched against the last part of a name.
    """
    try:
        from wcmatch import glob
    except ImportError as error:
        raise ConfigurationError(
            f"--include and --exclude need wcmatch ({error}); pip install 'instore[glob]'"
        ) from error
    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.MATCHBASE | glob.FORCEUNIX

    def compiled(option: str, patterns: Sequence[str]) -> Matches:
        try:
            return glob.compile(patterns, flags=flags).match
        except Exception as error:  # what it makes of a pattern that is none, or stands for too many
            raise ConfigurationError(f"{option} {printable(' '.join(patterns))} is no pattern: {error}") from error

    included = compiled("--include", include) if include else lambda _: True
    excluded = compiled("--exclude", exclude) if exclude else lambda _: False
    return lambda name: included(name) and not excluded(name)
