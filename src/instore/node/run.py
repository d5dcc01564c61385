"""A running node: sockets, folder, server, and a stop that leaves nothing behind."""

import ipaddress
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from instore.errors import ConfigurationError, InstoreError
from instore.http.limits import Limits
from instore.http.server import BACKLOG, bind, serve
from instore.node.app import App, make_node
from instore.node.cluster import Cluster
from instore.node.metadata import NodeFolder
from instore.node.promotable import PromotableFolder
from instore.node.request import Node
from instore.protocol.environment import AIS_AUTHN_TOKEN
from instore.system.addresses import url_of
from instore.system.limits import prepare_process

logger = logging.getLogger("instore")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a node is to run.

    Attributes:
        folder: where its data is.
        host, port: where clients come in; port 0: any free one.
        targets: how many.
        token: what requests must bear; empty: none, which only an address of this machine alone allows.
        strict: answer as AIStore does even where that is a fault.
        promotable: the folder whose files clients may turn into objects; empty: none.
    """

    folder: str
    host: str
    port: int
    targets: int
    token: str = ""
    strict: bool = False
    promotable: str = ""


Extend = Callable[[Node], None]


def run(settings: Settings, announce: Callable[[Cluster], None], extensions: tuple[Extend, ...] = ()) -> None:
    """Serve until a signal says stop."""
    if not settings.token and not is_loopback(settings.host):
        raise ConfigurationError(
            f"on {settings.host} others could reach the node, and whoever reaches it can run code; set "
            f"{AIS_AUTHN_TOKEN} or give --token to demand a token, or listen on 127.0.0.1"
        )
    prepare_process()
    promotable = PromotableFolder(settings.promotable, settings.folder)
    folder = NodeFolder(settings.folder, settings.targets)
    sockets = _listen(settings)
    proxy, *urls = [_url(one) for one in sockets]
    cluster = Cluster(folder, urls, proxy, settings.token, settings.strict)
    node = make_node(cluster, promotable)
    for extend in extensions:
        extend(node)
    app = App(node, lambda: announce(cluster))
    node.log.handle(
        logger.makeRecord(
            logger.name, logging.INFO, __file__, 0, "the node starts with %d targets", (len(urls),), None
        )  # not on standard error, where a node at work says nothing
    )
    logging.getLogger().addHandler(node.log)
    try:
        serve(app, sockets, Limits.read(os.environ))
    except (InstoreError, OSError) as error:
        raise ConfigurationError(f"the node can't start: {error}") from error
    finally:
        logging.getLogger().removeHandler(node.log)


def _listen(settings: Settings) -> list[socket.socket]:
    """The proxy's socket, and one for each target: on the ports behind it, or on free ones where these are taken."""
    sockets = [bind(settings.host, settings.port)]
    for number in range(1, settings.targets + 1):
        try:
            wanted = settings.port + number if settings.port else 0
            sockets.append(bind(settings.host, wanted if wanted < 65536 else 0))
        except ConfigurationError:
            sockets.append(bind(settings.host, 0))
    for one in sockets:
        one.listen(BACKLOG)
    return sockets


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    if address == "0.0.0.0":  # noqa: S104 - all addresses; the node itself comes in by this one
        address = "127.0.0.1"
    elif address == "::":
        address = "::1"
    return url_of(address, port)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ConfigurationError(f"can't listen on {host}: {error.strerror}; name an address with --host") from error
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)
