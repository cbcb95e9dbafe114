"""Which hosts and ports the product may connect to, by the operator's environment (cases.md C15)."""

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = frozenset({25, 465, 587, 2465, 2525, 2587})

# Never reached, whatever the environment says by default: link-local (which holds the cloud metadata
# addresses), metadata addresses outside it, multicast, unspecified and reserved addresses.
_METADATA = (ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254"))


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """`nets` is None for the default: everything but link-local, metadata, multicast and unspecified
    addresses. A list allows exactly those networks, still without the addresses just named.
    `ports` is None for any port."""

    nets: tuple[Network, ...] | None = None
    ports: frozenset[int] | None = DEFAULT_PORTS

    def allows_port(self, port: int) -> bool:
        return self.ports is None or port in self.ports

    def allows_address(self, address: str) -> bool:
        """Whether an IP address, in any of its written forms, may be connected to."""
        ip = ipaddress.ip_address(address.split("%", 1)[0])
        if isinstance(ip, ipaddress.IPv6Address):
            ip = ip.ipv4_mapped or ip.sixtofour or ip
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _METADATA:
            return False
        if str(ip) == "255.255.255.255":
            return False
        return self.nets is None or any(ip in net for net in self.nets)
