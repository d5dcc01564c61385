"""`instore unpack SRC DST`: shards' members into files."""

import sys

import click
import uvloop

from instore.cli.stopping import until_signal
from instore.errors import NothingSelectedError
from instore.offline.unpacking import Unpacking
from instore.system import exit_codes
from instore.system.printable import printable


@click.command(short_help="Put shards' members into files.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
def unpack(source: str, destination: str) -> None:
    """Put every member of the shards in the folder SRC into a file below DST. SRC may be one shard. The files of a
    shard appear once all of them are written; one that is damaged leaves none. The same command again does what is
    left.

    \b
    Example:    instore unpack shards photos
    Exit codes: 0 all done; 1 a shard failed; 2 it can't run; 130, 143 ended.
    """

    async def work() -> int:
        return 0 if await unpacking.run() else exit_codes.FAILED

    unpacking = Unpacking(source, destination, _say)
    try:
        code = uvloop.run(until_signal(work()))
    except (OSError, NothingSelectedError) as error:
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
