"""Trust: whose ids are taken, by the address of the peer.

The peer is what the server names as the client: behind a proxy that is the proxy itself, unless a class further out
(the server's own for forwarded headers) has put the client there. A peer without an address, as on a Unix socket, is in
no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias

from asgi_middleware._core.config import Problems
from asgi_middleware._core.types import Scope

Network: TypeAlias = IPv4Network | IPv6Network
Trusted: TypeAlias = Iterable[str | Network] | Callable[[Any], bool] | None
"""Peer networks, such as ``"10.0.0.0/8"`` or ``"::1"``; or a function of the scope; or None for everybody."""

_MOST_PEERS: Final = 1024


def check_trusted(option: str, trusted: Trusted, problems: Problems) -> None:
    """Note what is wrong with a trust policy."""
    if trusted is None or callable(trusted):
        return
    if isinstance(trusted, str | bytes) or not isinstance(trusted, Iterable):
        fix = 'pass a list such as ["10.0.0.0/8"], or a function of the scope'
        problems.add(option, trusted, "is neither a list of networks nor a function", fix=fix, code="wrong_type")
        return
    for network in trusted:
        try:
            ip_network(network)
        except ValueError:
            fix = 'write it as "10.0.0.0/8" or "::1", without host bits'
            problems.add(option, network, "is not a network", fix=fix, code="not_a_network")


def trust_of(trusted: Trusted) -> Callable[[Scope], bool] | None:
    """Make a checked trust policy a function of the scope; None where everybody is trusted."""
    if trusted is None or callable(trusted):
        return trusted
    return _Networks(ip_network(network) for network in trusted).hold


class _Networks:
    """Networks, with what was found out about the last peers."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def hold(self, scope: Scope) -> bool:
        """Tell whether the peer's address is in one of the networks."""
        client = scope.get("client")
        if not client or not isinstance(client[0], str):
            return False
        address = client[0]
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST_PEERS:
                self._known.clear()
            known = self._known[address] = self._find(address)
        return known

    def _find(self, text: str) -> bool:
        try:
            address: IPv4Address | IPv6Address = ip_address(text)
        except ValueError:  # the path of a Unix socket, a test client's name
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # what a socket of both families calls an IPv4 peer
        return any(address.version == network.version and address in network for network in self._networks)
