"""Which addresses other peers may be told of (reliability.md A32)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker_edge.protocol.compact import may_hand_out, packed, unmapped


def test_mapped_addresses_are_ipv4() -> None:
    assert packed("::ffff:1.2.3.4") == packed("1.2.3.4") == bytes((1, 2, 3, 4))
    assert packed("fe80::1%eth0") == ip_address("fe80::1").packed
    with pytest.raises(ValueError, match=r"1\.2\.3\.4:80"):
        packed("1.2.3.4:80")


@pytest.mark.parametrize("text", ["8.8.8.8", "100.128.0.1", "172.15.0.1", "192.169.0.1", "2600::1", "2002:808:808::1"])
def test_public_addresses_are_handed_out(text: str) -> None:
    assert may_hand_out(packed(text), False)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "198.18.0.1",
     "203.0.113.7", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1",
     "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"],
)  # fmt: skip
def test_other_addresses_are_not(text: str) -> None:
    assert not may_hand_out(packed(text), False)


def test_the_switch_allows_private_ones_but_nonsense_never() -> None:
    assert all(may_hand_out(packed(text), True) for text in ("127.0.0.1", "10.1.2.3", "::1", "fc00::1"))
    assert not any(may_hand_out(packed(text), True) for text in ("0.0.0.0", "::", "224.0.0.1", "ff02::1"))


@given(st.binary(min_size=4, max_size=4))
def test_no_ipv4_address_that_is_not_global_is_handed_out(address: bytes) -> None:
    ip = ip_address(address)
    assert may_hand_out(address, False) == (ip.is_global and not ip.is_multicast)
    assert unmapped(bytes(10) + b"\xff\xff" + address) == address
