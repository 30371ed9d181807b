"""The answers about users' numbers: zeros before the first announce, exact ratios, explanations page by page."""

from __future__ import annotations

import pytest

from domain.announces import Event
from projections.bonus import bonus
from projections.peers import peers
from projections.torrents import torrents
from projections.users import users
from queries.user_stats import transfers, user_stats
from runtime.platform import Platform
from runtime.store import new_id
from tests.given import NOON, projected
from tests.members import Member, Members
from tests.peers.edges import FILM, ShippingEdge, announce

pytestmark = pytest.mark.engine


@pytest.fixture
def two(members: Members) -> tuple[Member, Member]:
    return members.join("ada"), members.join("grace", points=7)


def transferred(platform: Platform, *members: Member) -> None:
    """Everybody leeches; the n-th of them moves (n + 1) thousand bytes up and three down in three announces."""
    edge = ShippingEdge(platform)
    edge.ship([announce(0, Event.STARTED, user=m.id, left=9) for m in members])
    for step in (1, 2, 3):
        edge.ship(
            [announce(step, user=m.id, up=n * 1000 // 3 * step, down=step, left=9) for n, m in enumerate(members, 1)]
        )
    projected(platform, users, bonus, torrents, peers)


def test_numbers_are_zero_before_the_first_announce(platform: Platform, two: tuple[Member, Member]) -> None:
    projected(platform, users, bonus, peers)
    with platform.pool.connection() as db:
        db.execute("SET search_path = read")
        found = user_stats(db, [*(member.id for member in two), new_id()], NOON)
        ada, grace = (found.pop(member.id) for member in two)
        assert found == {}
        assert (ada.uploaded, ada.downloaded, ada.ratio, ada.seeding, ada.bonus_points) == (0, 0, None, 0, 0)
        assert grace.bonus_points == 7000


def test_each_users_ratio_is_their_own(platform: Platform, two: tuple[Member, Member]) -> None:
    transferred(platform, *two)
    with platform.pool.connection() as db:
        db.execute("SET search_path = read")
        found = user_stats(db, [member.id for member in two], NOON)
    ada, grace = (found[member.id] for member in two)
    assert (ada.uploaded, ada.downloaded, ada.ratio, ada.leeching) == (999, 3, 333.0, 1)
    assert (grace.uploaded, grace.downloaded, grace.ratio) == (1998, 3, 666.0)


def test_explanations_come_newest_first_and_never_twice(platform: Platform, two: tuple[Member, Member]) -> None:
    transferred(platform, *two)
    with platform.pool.connection() as db:
        db.execute("SET search_path = read")
        first = transfers(db, two[1].id, None, 2)
        rest = transfers(db, two[1].id, [first[-1].position, first[-1].seq, first[-1].n], 2)
    assert [t.client_uploaded for t in (*first, *rest)] == [1998, 1332, 666]
    assert [(t.baseline_uploaded, t.uploaded) for t in (*first, *rest)] == [(1332, 666), (666, 666), (0, 666)]
    assert {(t.torrent_id, t.torrent_name, t.edge_id) for t in first} == {(FILM, None, "edge-1")}
