"""Looks: that each has a reason, and which networks are a question about somebody."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.looks import BadNetwork, Look, LookAt, NetworkTooWide, network
from domain.torrents import ReasonMissing

ID, ALICE = UUID(int=1), UUID(int=2)


def test_a_look_says_who_and_why() -> None:
    (taken,) = Look.take(ID, ALICE, LookAt.ADDRESSES, "a claim to an account").collect_events()
    assert isinstance(taken, Look.Taken)
    assert (taken.user_id, taken.at, taken.reason) == (ALICE, "addresses", "a claim to an account")
    for reason in ("", " ", "x" * 1001):
        with pytest.raises(ReasonMissing):
            Look.take(ID, None, LookAt.BY_EMAIL, reason)


@pytest.mark.parametrize("text", ["203.0.113.7", "203.0.0.0/16", "203.0.113.0/24", "2001:db8::", "2001:db8::/32"])
def test_an_address_or_a_narrow_network_is_looked_for(text: str) -> None:
    assert str(network(text)).partition("/")[0] == text.partition("/")[0]


@pytest.mark.parametrize("text", ["", "203.0.113", "203.0.113.7/24", "localhost", "1.2.3.4/33", "::ffff/12 ", "1e3"])
def test_anything_else_is_no_network(text: str) -> None:
    with pytest.raises(BadNetwork):
        network(text)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "203.0.0.0/8", "203.0.0.0/15", "::/0", "2001:db8::/31"])
def test_a_wide_network_is_everybody(text: str) -> None:
    with pytest.raises(NetworkTooWide):
        network(text)
