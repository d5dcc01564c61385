"""`instore pack SRC DST`: a folder's files into shards."""

import sys

import click
import uvloop

from instore.cli.stopping import until_signal
from instore.errors import NothingSelectedError, ShardError, SourceError
from instore.offline.packing import Packing
from instore.system import exit_codes
from instore.system.printable import printable
from instore.system.sizes import parse_size


@click.command(short_help="Put a folder's files into shards.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--size", default="1GB", show_default=True, metavar="SIZE", help="Of a shard at most: 500MB, 1GiB.")
def pack(source: str, destination: str, size: str) -> None:
    """Put every file of the folder SRC into shards. DST is their names, with a number: FOLDER/out-%06d.tar; they may
    end in .tar, .tar.gz, .tgz, .tar.zst or .zip. The files of a sample, whose names are the same up to the first dot,
    stay in one shard. Shards appear whole or not at all; the same command again makes those that are missing.

    \b
    Example:    instore pack photos shards/train-%06d.tar --size 1GB
    Exit codes: 0 all done; 1 a file failed; 2 it can't run; 130, 143 ended.
    """

    async def work() -> int:
        await packing.run()
        return 0

    packing = Packing(source, destination, parse_size("--size", size), _say)
    try:
        code = uvloop.run(until_signal(work()))
    except (OSError, SourceError, ShardError, NothingSelectedError) as error:
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
