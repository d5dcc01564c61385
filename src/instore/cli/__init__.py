"""The command `instore`. Each subcommand is a module; what they share stands here."""

import importlib
import logging
from typing import Any

import click
from click.shell_completion import CompletionItem

from instore.errors import ConfigurationError
from instore.system import exit_codes
from instore.system.logs import flush_logs, tell
from instore.system.streams import open_closed_streams
from instore.version import __version__

_COMMANDS = {
    # name: (module, one line for the help)
    "init": ("instore.cli.init", "Make a project: a transform with its tests, image and CI."),
    "try": ("instore.cli.try_", "Try a transform on one object."),
    "node": ("instore.cli.node", "Run an AIStore-compatible store on this machine."),
    "serve": ("instore.cli.serve", "Serve a transform to a cluster's targets."),
    "runtime": ("instore.cli.runtime", "Serve a class that was sent, as a container's entry point."),
    "spec": ("instore.cli.spec", "Write what a cluster needs, or check it."),
    "check": ("instore.cli.check", "Check that an ETL server, of any make, keeps to the protocol."),
    "transform": ("instore.cli.transform", "Put every file of a folder or bucket through a transform."),
    "pack": ("instore.cli.pack", "Put a folder's files into shards (tar, zip)."),
    "unpack": ("instore.cli.unpack", "Put the members of shards into files."),
    "exec": ("instore.cli.exec", "Run a command written for AIStore's SDK."),
    "completion": ("instore.cli.completion", "Print what completes these commands in a shell."),
}
_FUNCTIONS = {"exec": "exec_", "try": "try_"}  # where a command's name can't be its function's


class _Commands(click.Group):
    """Imports a command when it is called, and turns an error that a user can mend into one line and code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        open_closed_streams()  # before anything else is opened
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(_COMMANDS[cmd_name][0]), _FUNCTIONS.get(cmd_name, cmd_name)
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What completes a word; no command is imported for it."""
        names = [name for name in _COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=_COMMANDS[name][1]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise _Unusable(str(error)) from error


class _Unusable(click.ClickException):
    exit_code = exit_codes.CONFIGURATION

    def show(self, file: object = None) -> None:  # noqa: ARG002
        flush_logs()
        tell(self.format_message(), logging.ERROR)
        flush_logs()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="instore", message="%(prog)s %(version)s")
def main() -> None:
    """Run data transforms in the store: a class with one method becomes a server that speaks the AIStore ETL
    protocol, or goes over a folder of files right here."""
