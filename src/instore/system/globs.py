"""Patterns for names, as `--include`, `--exclude` and `--members` take them."""

from collections.abc import Callable, Sequence

from instore.errors import ConfigurationError
from instore.system.printable import printable

Matches = Callable[[str], bool]


def compiled(option: str, patterns: Sequence[str]) -> Matches:
    """Whether a name matches one of the patterns of an option.

    `*` and `?` stop at slashes, `**` does not; a pattern without a slash is matched against the last part of a name.

    Raises:
        ConfigurationError: one is no pattern, or wcmatch is not installed.
    """
    try:
        from wcmatch import glob
    except ImportError as error:
        raise ConfigurationError(f"{option} needs wcmatch ({error}); pip install 'instore[glob]'") from error
    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.MATCHBASE | glob.FORCEUNIX
    try:
        return glob.compile(patterns, flags=flags).match
    except Exception as error:  # what it makes of a pattern that is none, or stands for too many
        raise ConfigurationError(f"{option} {printable(' '.join(patterns))} is no pattern: {error}") from error
