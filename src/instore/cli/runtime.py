"""`instore runtime`: the entry point of a container that is sent a class (docs/protocol.md#shipping-a-class)."""

import os
import sys

import click

from instore.cli.listening import listening
from instore.compat.aistore import install
from instore.protocol.environment import Environment
from instore.runtime.launch import Place, launch
from instore.shipping.packages.class_settings import Shipment
from instore.shipping.packages.environment import PackageEnvironment
from instore.shipping.packages.pip import install_packages, our_path
from instore.shipping.packages.system import install_system_packages
from instore.system.logs import LogOptions, flush_logs, log_to_stderr
from instore.system.signals import ended_by_sigterm
from instore.webserver.base_etl_server import check_class
from instore.webserver.utils import deserialize_class

_PREPARED = "--prepared"


@click.command(
    short_help="Serve a class that was sent.",
    epilog="Exit codes: 0 stopped by a signal (143 while it installs); 2 it can't serve: the last line says why.",
)
@listening
@click.option(
    "--environment", metavar="DIR", help="Install packages into this environment; it is made if it isn't there."
)
@click.option(_PREPARED, is_flag=True, hidden=True, help="All packages are there.")
def runtime(
    host: str,
    port: int,
    log_level: str,
    log_format: str,
    fd: int | None,
    uds: str | None,
    environment: str | None,
    prepared: bool,
) -> None:
    """Serve the class in the environment's ETL_CLASS_PAYLOAD to AIStore's targets.

    \b
    ETL_CLASS_PAYLOAD  the class, as Etl.init_class or serialize_class wrote it
    PACKAGES           what pip installs first: pillow,numpy>=2,<3
    OS_PACKAGES        what apt-get or apk installs first: ffmpeg,libsndfile1
    NUM_WORKERS        processes [default: 4]

    What is there already is not installed again. The rest of the environment is that of `instore serve`.
    """
    log = LogOptions(log_level, log_format)
    log_to_stderr(log)
    shipment = Shipment.read(os.environ)
    Environment.read(os.environ)
    if not prepared and fd is None:
        with ended_by_sigterm():
            install_system_packages(shipment.os_packages)
            python = _install(shipment, environment)
        if python is not None:
            # Another interpreter, or this one with what it has now: modules in memory may be those of before.
            flush_logs()
            sys.stderr.flush()
            os.execv(python, [python, "-P", "-m", "instore", *sys.argv[1:], _PREPARED])  # noqa: S606
    install()
    cls = deserialize_class(shipment.payload)
    check_class(cls)
    launch(cls, ["runtime"], Place(host, port, fd, uds), shipment.workers, log)


def _install(shipment: Shipment, folder: str | None) -> str | None:
    """Install the packages."""
    if folder is None:
        installed = install_packages(shipment.packages, sys.executable, our_path())
        return sys.executable if installed else None
    environment = PackageEnvironment(folder)
    with environment.locked():
        environment.prepare()
        install_packages(shipment.packages, environment.python, environment.path)
    return environment.python
