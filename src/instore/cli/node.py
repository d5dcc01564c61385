"""`instore node`: a store that AIStore's own client can talk to, in one process."""

import os

import click

from instore.cli.listening import limiting, logging_options
from instore.etl.images import Images
from instore.node.cluster import Cluster
from instore.node.etls.subsystem import add_etls
from instore.node.run import Settings, is_loopback, run
from instore.protocol.environment import AIS_AUTHN_TOKEN, AIS_ENDPOINT
from instore.runtime.worker import exit_with_parent
from instore.system.logs import LogOptions, log_to_stderr
from instore.ui.page import PATH

_MOST_WORKERS = 4  # processes of a shipped class beside a target, as AIStore's own runtime starts


@click.command(short_help="Run an AIStore-compatible store.")
@click.option("--dir", "folder", default="instore-data", show_default=True, metavar="DIR", help="Where the data is.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen here.")
@click.option(
    "--port", default=51080, show_default=True, type=click.IntRange(0, 65535), metavar="N", help="0: any free one."
)
@click.option(
    "--targets", default=1, show_default=True, type=click.IntRange(1, 64), metavar="N", help="Fixed once DIR is made."
)
@click.option("--token", metavar="T", help=f"Demand it of every request; in place of {AIS_AUTHN_TOKEN}.")
@click.option("--image", "images", multiple=True, metavar="NAME=DIR", help="Run this ETL image as its command in DIR.")
@click.option(
    "--images", "collections", multiple=True, metavar="DIR", help="Run what is in DIR: transformers with their specs."
)
@click.option("--promote", "promotable", default="", metavar="DIR", help="Let clients turn files in DIR into objects.")
@click.option("--strict", is_flag=True, help="Answer as AIStore does even where that is a fault.")
@limiting
@logging_options
def node(
    folder: str,
    host: str,
    port: int,
    targets: int,
    token: str | None,
    images: tuple[str, ...],
    collections: tuple[str, ...],
    promotable: str,
    strict: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Run a store on this machine that AIStore's tools take for a cluster, for development and tests.

    \b
    instore node --targets 3 --images ./transformers

    What was acknowledged outlives the process, though not a power cut. An address that others reach demands a token.
    """
    log_to_stderr(LogOptions(log_level, log_format))
    exit_with_parent()
    demanded = token if token is not None else os.environ.get(AIS_AUTHN_TOKEN, "")
    settings = Settings(folder, host, port, targets, demanded, strict, promotable)
    known = Images(images, max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) // targets)), collections)
    run(settings, _announce, (lambda node: add_etls(node, known, is_loopback(host)),))


def _announce(cluster: Cluster) -> None:
    count = len(cluster.targets)
    click.echo(
        f"instore node: {count} target{'s' if count > 1 else ''}, data in {cluster.folder.path}; "
        f"export {AIS_ENDPOINT}={cluster.proxy_url}\n"
        f"instore node: a page to try it on: {cluster.proxy_url}{PATH}"
    )
