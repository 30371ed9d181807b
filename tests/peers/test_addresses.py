"""Addresses of two users in the read tables, before one of them is erased and after it, and built again."""

from __future__ import annotations

import pytest

import domain
from domain.announces import Event
from domain.erasures import Erasure, erasure_id
from projections.peers import peers
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.conftest import MakePlatform
from tests.given import Given, event, projected, rows_of
from tests.peers.edges import ADA, GRACE, IPV4, IPV6, ShippingEdge, announce, stats

pytestmark = pytest.mark.engine


@pytest.fixture
def site(make_platform: MakePlatform) -> Platform:
    return make_platform(domain.EVENTS, (peers,))


@pytest.fixture
def edge(site: Platform) -> ShippingEdge:
    return ShippingEdge(site)


def shown(site: Platform) -> list[tuple[object, ...]]:
    projected(site, peers)
    return rows_of(site, "SELECT user_id, ipv4, port4, ipv6, port6 FROM read.peer ORDER BY user_id")


def is_as_rebuilt(site: Platform) -> bool:
    return [one.differences for one in verify(site, peers)] == [0] * len(peers.tables)


@pytest.mark.parametrize("segments", [1, 30], ids=["alone", "gathered"])
def test_an_erasure_ends_one_users_addresses_and_no_number(edge: ShippingEdge, segments: int) -> None:
    site = edge.platform
    for n in range(segments):
        edge.ship(*[[announce(n, user=u, up=n, left=5, address=a) for u in (ADA, GRACE)] for a in (IPV4, IPV6)])
    everywhere = IPV4, 6881, IPV6, 6881
    assert shown(site) == [(ADA, *everywhere), (GRACE, *everywhere)]
    assert is_as_rebuilt(site)
    before = [stats(site, user) for user in (ADA, GRACE)]
    site.keyring.destroy(ADA)
    Given(site).facts(event(Erasure.Begun, erasure_id(ADA), user_id=ADA, proposal_id=None))
    Given(site).facts(event(Erasure.Completed, erasure_id(ADA), 2, user_id=ADA))
    assert shown(site) == [(ADA, None, None, None, None), (GRACE, *everywhere)]
    assert [stats(site, user) for user in (ADA, GRACE)] == before
    assert is_as_rebuilt(site)


def test_what_an_edge_ships_long_after_the_erasure_counts_and_shows_no_address(edge: ShippingEdge) -> None:
    site = edge.platform
    edge.ship([announce(0, Event.STARTED, user=user, left=5) for user in (ADA, GRACE)])
    site.keyring.destroy(ADA)
    Given(site).facts(event(Erasure.Begun, erasure_id(ADA), user_id=ADA, proposal_id=None))
    Given(site).facts(event(Erasure.Completed, erasure_id(ADA), 2, user_id=ADA))
    edge.ship([announce(60, user=user, up=700, left=5, address=IPV6) for user in (ADA, GRACE)])
    assert shown(site) == [(ADA, None, None, None, None), (GRACE, IPV4, 6881, IPV6, 6881)]
    assert [stats(site, user)["raw_uploaded"] for user in (ADA, GRACE)] == [700, 700]
    assert is_as_rebuilt(site)
