"""Which hosts and ports the product may connect to, by the operator's environment."""

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = frozenset({25, 465, 587, 2465, 2525, 2587})

# Never reached, whatever the environment says by default: link-local (which holds the cloud metadata
# addresses), metadata addresses outside it, multicast, unspecified and reserved addresses.
_METADATA = tuple(
    ipaddress.ip_address(address)
    for address in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's platform address
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")  # RFC 1122: a source address alone
# IPv6 prefixes whose last 32 bits are an IPv4 address that a gateway or the kernel may lead to: NAT64 (RFC 6052,
# RFC 8215), IPv4-translated (RFC 2765) and IPv4-compatible addresses (RFC 4291; :: and ::1 lie in it too).
_EMBEDS_IPV4 = tuple(
    ipaddress.IPv6Network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")
)


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
        ip = _meant(ipaddress.ip_address(address.split("%", 1)[0]))
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _METADATA or ip in _THIS_NETWORK:
            return False
        if ip.version == 4 and ip.is_reserved:  # 240.0.0.0/4, with the broadcast address
            return False
        return self.nets is None or any(ip in net for net in self.nets)


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside an IPv6 address that stands for one, else the address itself."""
    if not isinstance(ip, ipaddress.IPv6Address) or ip.is_loopback or ip.is_unspecified:
        return ip
    embedded = any(ip in prefix for prefix in _EMBEDS_IPV4)
    inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if embedded else ip.ipv4_mapped or ip.sixtofour
    return inside or (ip.teredo[1] if ip.teredo else ip)
