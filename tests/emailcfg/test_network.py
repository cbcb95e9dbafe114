"""Which addresses the product may connect to, in every form an address can be written."""

import ipaddress

import pytest

from emailcfg.network import NetworkPolicy

REFUSED = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "0.1.2.3", "240.0.0.1")
REFUSED += ("255.255.255.255", "0.0.0.0")
PREFIXES = ("::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "::ffff:0:0:0", "::")


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_never_reached_is_not_reached_inside_an_ipv6_address_either(address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    embedding = [str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)) for prefix in PREFIXES]
    embedding.append(str(ipaddress.IPv6Address((0x2002 << 112) + (number << 80))))  # 6to4
    embedding.append(str(ipaddress.IPv6Address((0x20010000 << 96) + (number ^ 0xFFFFFFFF))))  # Teredo
    everything = NetworkPolicy(nets=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    for policy in (NetworkPolicy(), everything):
        assert [form for form in (address, *embedding) if policy.allows_address(form)] == []


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "::"])
def test_ipv6_addresses_that_are_never_reached(address: str) -> None:
    assert not NetworkPolicy().allows_address(address)


REACHED = ("127.0.0.1", "::1", "10.0.0.25", "192.168.1.1", "203.0.113.9", "2a00:1450::6c", "fd12::25")


@pytest.mark.parametrize("address", [*REACHED, "::ffff:10.0.0.25", "64:ff9b::cb00:7109"])
def test_relays_here_in_the_own_network_and_elsewhere_are_reached(address: str) -> None:
    assert NetworkPolicy().allows_address(address)


def test_a_list_of_networks_holds_for_the_address_that_is_meant() -> None:
    policy = NetworkPolicy(nets=(ipaddress.ip_network("10.0.0.0/8"),))
    assert policy.allows_address("10.1.2.3")
    assert policy.allows_address("::ffff:10.1.2.3")
    assert not policy.allows_address("::ffff:192.168.1.1")
    assert not policy.allows_address("2a00:1450::6c")
