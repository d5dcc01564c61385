"""Options of a command in groups, so that the help of one with many fits a screen."""

import functools
from collections.abc import Callable
from typing import Any

import click

_COLUMN = 22  # characters that options have before their help


def group(title: str) -> Callable[..., Callable[[Any], Any]]:
    """`click.option` for the options of one group; the title stands above them."""
    return functools.partial(click.option, cls=_GroupedOption, group=title)


class GroupedCommand(click.Command):
    """A command whose options stand in groups, in the order of their first ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group under its title; --help is left out: whoever reads it has found it."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, _GroupedOption) and (record := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(parameter.group, []).append(record)
        formatter.write_paragraph()
        for title, records in groups.items():
            formatter.write(f"{title}:\n")
            with formatter.indentation():
                formatter.write_dl([(name.ljust(_COLUMN), text) for name, text in records], col_spacing=1)


class _GroupedOption(click.Option):
    def __init__(self, *arguments: Any, group: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.group = group
