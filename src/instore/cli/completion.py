"""`instore completion SHELL`: what a shell reads to complete the other commands."""

import click
from click.shell_completion import get_completion_class

PLACE = click.Path(readable=False)
"""The type of an argument that may be a file, so that a shell completes it as one; any other text does, too."""

_PROGRAM = "instore"
_VARIABLE = "_INSTORE_COMPLETE"  # as click's own completion of a program of that name has it


@click.command(short_help="Print a shell's completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands, options and files in SHELL.

    \b
    bash:  instore completion bash >> ~/.bashrc
    zsh:   instore completion zsh >> ~/.zshrc
    fish:  instore completion fish > ~/.config/fish/completions/instore.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has these three
    click.echo(kind(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
