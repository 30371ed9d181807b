"""Peer ids as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clients import client


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        (b"-qB5100-", "qBittorrent 5.1.0"),
        (b"-qB4650-", "qBittorrent 4.6.5"),
        (b"-DE211s-", "Deluge 2.1.1"),
        (b"-TR3000-", "Transmission 3.00"),
        (b"-TR2940-", "Transmission 2.94"),
        (b"-TR4060-", "Transmission 4.0.6"),
        (b"-UT355W-", "uTorrent 3.5.5.32"),
        (b"-lt0D80-", "rTorrent 0.13.8"),
        (b"-LT20B0-", "libtorrent 2.0.11"),
        (b"-BI3900-", "BiglyBT 3.9.0"),
        (b"M7-10-5-", "Mainline 7.10.5"),
        (b"T03I-----", "BitTornado 0.3.18"),
        (b"-ZZ1000-", "unknown"),
        (b"-qB51", "unknown"),
        (b"\xff" * 8, "unknown"),
        (b"", "unknown"),
    ],
)
def test_the_prefix_names_the_client(prefix: bytes, name: str) -> None:
    assert client(prefix.ljust(20, b"x") if prefix else b"") == name


@given(st.binary(max_size=24))
def test_any_bytes_have_a_short_printable_name(peer_id: bytes) -> None:
    name = client(peer_id)
    assert name.isprintable()
    assert 0 < len(name) <= 40
