"""Which hosts results may be put to.

Whoever reaches the server's port can name a next hop, and a next hop is sent the token, and the secret of the target.
So the target's own host may be one, always; others only if `INSTORE_NEXT_HOPS` names them; and without that variable
whatever has an address of a private network, as the nodes and pods of a cluster do.
"""

import ipaddress
from urllib.parse import urlsplit

from instore.errors import ForbiddenAddressError
from instore.protocol.environment import INSTORE_NEXT_HOPS, Environment
from instore.system.addresses import Address, addresses_behind


class NextHops:
    """The hosts that may be next hops."""

    def __init__(self, environment: Environment) -> None:
        self._target = urlsplit(environment.target_url).hostname
        self._named = environment.next_hops

    def check(self, address: str, host: str) -> None:
        """Refuse `address`, to which `host` leads, unless it may be a next hop."""
        if host == self._target or any(_fits(one, address, host) for one in self._named):
            return
        if self._named:
            raise ForbiddenAddressError(f"{host} can't be a next hop: {INSTORE_NEXT_HOPS} does not name it")
        if any(_is_outside(one) for one in addresses_behind(address)):
            raise ForbiddenAddressError(
                f"{host} can't be a next hop: its address is not one of a private network; "
                f"name it in {INSTORE_NEXT_HOPS} to allow it"
            )


def _fits(named: str, address: str, host: str) -> bool:
    """Whether an entry, which is an address, a network, a name, or a domain with its dot, is of this host."""
    try:
        network = ipaddress.ip_network(named)
    except ValueError:
        return host == named or (named.startswith(".") and host.endswith(named))
    return any(one in network for one in addresses_behind(address))


def _is_outside(address: Address) -> bool:
    return address.is_global or address.is_link_local or address.is_multicast
