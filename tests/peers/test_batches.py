"""What the journal adds up to does not depend on how its announces came together: every split gives equal tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import domain
from domain.announces import Announce, Event
from domain.freeleech_tokens import FreeleechTokens
from domain.site_promotions import SitePromotion
from domain.torrents import Torrent
from projections.peers import batch, peers, rows
from runtime import follow
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.rollup import Rollup
from runtime.store import new_id
from tests.conftest import MakePlatform
from tests.given import NOON, Given, event, projected, rows_of, store_clock
from tests.peers.edges import ADA, ALBUM, FILM, GRACE, IPV4, IPV6, ShippingEdge, announce, swarm, uploaded

pytestmark = pytest.mark.engine

STARTED, COMPLETED, STOPPED, EXPIRED = Event.STARTED, Event.COMPLETED, Event.STOPPED, Event.EXPIRED


GRAINS = "SELECT grain, count(*) FROM read.user_history GROUP BY 1 ORDER BY 1"


@pytest.fixture
def site(make_platform: MakePlatform) -> Platform:
    return make_platform(domain.EVENTS, (peers,))


#: user, torrent, client, seconds since the last one, growth of both counters, left, event, address, edge, what follows
_STEP = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from((0, 1, 600, 3000, 6000, 90_000, -400, 1_300_000, 11_000_000, -1_300_000)),
    st.sampled_from((0, 1, 700, -50, 10**13)),
    st.sampled_from((0, 1, 90)),
    st.sampled_from((0, 0, 50)),
    st.sampled_from((*[Event.REGULAR] * 4, STARTED, COMPLETED, STOPPED, EXPIRED)),
    st.sampled_from((IPV4, IPV6)),
    st.integers(0, 1),
    st.sampled_from(("more", "more", "segment", "fact", "token", "site promotion", "upload", "deletion")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(_STEP, min_size=1, max_size=30),
    facts_at_once=st.sampled_from((1, 2, 3, 500)),
    announces_at_once=st.sampled_from((1, 2, 5, 40_000)),
    taken_after_days=st.sampled_from((1, 40, 36_500)),
)
def test_every_split_gives_the_same_rows(
    site: Platform, steps: list[Any], facts_at_once: int, announces_at_once: int, taken_after_days: int
) -> None:
    """Live as drawn here, and made anew from all that was shipped so far with everything at once; edges' clocks are
    right or years ahead.

    Windows open between segments for announces of before and after, the second torrent is uploaded late or never,
    and nobody announces it before.
    """
    store_clock(site, NOON + timedelta(days=taken_after_days))
    _ship(site, steps)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(follow, "BATCH", facts_at_once)
        patched.setattr(follow, "BATCH_MAX", facts_at_once)
        patched.setattr(batch, "ANNOUNCES_AT_ONCE", announces_at_once)
        projected(site, peers)
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)
    _assert_histories_agree(site)


def _ship(site: Platform, steps: list[Any]) -> None:
    users, torrents = [new_id(), new_id()], [new_id(), new_id()]
    Given(site).facts(uploaded(torrents[0], 500))
    edges = [ShippingEdge(site, f"edge-{new_id()}") for _ in range(2)]
    now, counters, segments = 0, dict[Any, tuple[int, int]](), list[list[Announce]]([[]])
    for user, torrent, client, wait, up, down, left, kind, address, edge, then in steps:
        torrent = min(torrent, _of_second(site, torrents))
        now = max(0, now + wait)
        before = counters.get((user, torrent, client), (100, 100))
        counters[user, torrent, client] = max(0, before[0] + up), before[1] + down
        counted = dict(zip(("up", "down"), counters[user, torrent, client], strict=True))
        said: dict[str, Any] = {"user": users[user], "torrent": torrents[torrent], "client": client, **counted}
        segments[-1].append(announce(now, kind, **said, left=left, address=address))
        if then == "segment":
            segments.append([])
        elif then != "more":
            edges[edge].ship(*filter(None, segments))
            segments = [[]]
        at, until = NOON + timedelta(seconds=now), NOON + timedelta(seconds=now + 5000)
        if then == "token":
            spent = {"user_id": users[user], "torrent_id": torrents[torrent], "tokens": 1, "until": until}
            Given(site).facts(event(FreeleechTokens.Spent, new_id(), 1, at, **spent))
        elif then == "site promotion":
            promised = {"upload_percent": 200, "download_percent": 0, "until": until}
            Given(site).facts(event(SitePromotion.Started, new_id(), 1, at, **promised))
        elif then == "upload" and not _of_second(site, torrents):
            Given(site).facts(uploaded(torrents[1], 501))
        elif then == "deletion" and _of_second(site, torrents) == 1:
            Given(site).facts(event(Torrent.Deleted, torrents[1], 2, reason="dupe"))
    if any(segments):
        edges[0].ship(*filter(None, segments))


def _of_second(site: Platform, torrents: list[Any]) -> int:
    """How many facts there are of the second torrent."""
    return len(rows_of(site, "SELECT FROM es.event WHERE stream_id = %s", [torrents[1]]))


def _assert_histories_agree(site: Platform) -> None:
    """Sums over hours and days are the totals; the site's hours are those of its torrents."""
    for totals, parts in (
        ("SELECT user_id, uploaded, downloaded, seed_time_s, seeding, leeching, seed_size, snatched, torrents"
         " FROM read.user_stats",
         "SELECT user_id, sum(uploaded), sum(downloaded), sum(seed_time_s), sum(seeding), sum(leeching),"
         " sum(seed_size), sum(snatched), sum(torrents) FROM read.user_history GROUP BY 1"),
        ("SELECT user_id, seeding, leeching, torrents, seed_size FROM read.user_stats",
         "SELECT user_id, count(*) FILTER (WHERE seeding), count(*) FILTER (WHERE leeching), count(*),"
         " coalesce(sum(size) FILTER (WHERE seeding), 0) FROM"
         " (SELECT user_id, torrent_id, bool_or(active AND seeder) AS seeding,"
         "  bool_or(active AND NOT seeder) AS leeching FROM read.peer GROUP BY 1, 2) p"
         " LEFT JOIN read.torrent_size USING (torrent_id) GROUP BY 1"),
        ("SELECT 'hour', count(*) FROM read.user_history h, read.user_history_clock c WHERE grain = 'hour'"
         " AND h.at < c.hour - interval '15 days'", "SELECT 'hour', 0"),
        ("SELECT torrent_id, times_completed, uploaded, downloaded FROM read.torrent_stats"
         " WHERE times_completed > 0 OR uploaded > 0 OR downloaded > 0",
         "SELECT torrent_id, sum(completed), sum(uploaded), sum(downloaded) FROM read.torrent_history"
         " GROUP BY 1 HAVING sum(completed) > 0 OR sum(uploaded) > 0 OR sum(downloaded) > 0"),
        ("SELECT hour, completed, uploaded, downloaded FROM read.site_history",
         "SELECT hour, sum(completed), sum(uploaded), sum(downloaded) FROM read.torrent_history GROUP BY 1"),
        ("SELECT seeders, leechers FROM read.site_swarm",
         "SELECT coalesce(sum(seeders), 0), coalesce(sum(leechers), 0) FROM read.torrent_stats"
         " HAVING EXISTS (SELECT FROM read.site_swarm)"),
    ):  # fmt: skip
        assert sorted(rows_of(site, totals)) == sorted(rows_of(site, parts))


def test_an_hours_swarm_is_its_largest_and_every_hour_has_its_own(site: Platform) -> None:
    edge = ShippingEdge(site)
    edge.ship([announce(n, STARTED, user=u, left=left) for n, (u, left) in enumerate(((ADA, 0), (GRACE, 9)))])
    edge.ship([announce(60, STOPPED, user=ADA), announce(70, COMPLETED, user=GRACE, down=9)])
    edge.ship([announce(4000, user=GRACE, up=5, down=9), announce(4000, STARTED, torrent=ALBUM)])
    projected(site, peers)
    hours = rows_of(
        site,
        "SELECT torrent_id, hour - %s, seeders, leechers, completed, uploaded, downloaded FROM read.torrent_history"
        " ORDER BY hour, torrent_id DESC",
        [NOON],
    )
    assert hours == [
        (FILM, timedelta(0), 1, 1, 1, 0, 9),
        (FILM, timedelta(hours=1), 1, 0, 0, 5, 0),
        (ALBUM, timedelta(hours=1), 1, 0, 0, 0, 0),
    ]
    site_hours = "SELECT seeders, leechers, completed, announces FROM read.site_history ORDER BY hour"
    assert rows_of(site, site_hours) == [(1, 1, 1, 4), (2, 0, 0, 2)]


def test_a_rebuild_writes_users_past_as_it_will_be_in_the_end(site: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    store_clock(site, NOON + timedelta(days=200))
    edge, day_s = ShippingEdge(site), 86_400
    for day in (0, 1, 150, 199, 200):
        edge.ship([announce(day * day_s, user=user, up=day) for user in (ADA, GRACE)])
    projected(site, peers)
    assert rows_of(site, GRAINS) == [("day", 2), ("hour", 4), ("month", 2)]
    assert rows_of(site, "SELECT hour FROM read.user_history_clock") == [(NOON + timedelta(days=200),)]
    made_coarser = list[Any]()
    monkeypatch.setattr(Rollup, "_coarsen", lambda *rows: made_coarser.append(rows))
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)
    assert made_coarser == []


@pytest.mark.parametrize("kind", ["announce", "deletion"])
def test_one_clock_that_is_years_ahead_makes_nobodys_hours_coarser(site: Platform, kind: str) -> None:
    """Its own hour stands where it said; the others' grow coarser when their time has come by the store's clock."""
    edge, wrong, day_s = ShippingEdge(site), ShippingEdge(site, "edge-2"), 86_400
    store_clock(site, NOON + timedelta(days=1))
    Given(site).facts(uploaded(FILM, 700))
    edge.ship([announce(day * day_s, STARTED, user=user) for day in (0, 1) for user in (ADA, GRACE)])
    if kind == "announce":
        wrong.ship([announce(3650 * day_s, user=GRACE, client=2)])
    else:
        Given(site).facts(event(Torrent.Deleted, FILM, 2, NOON + timedelta(days=3650), reason="dupe"))
    projected(site, peers)
    hours = rows_of(site, GRAINS)
    assert hours == [("hour", 3 if kind == "announce" else 4)]
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)
    store_clock(site, NOON + timedelta(days=17))
    edge.ship([announce(17 * day_s, user=ADA, torrent=ALBUM)])
    projected(site, peers)
    assert dict(rows_of(site, GRAINS))["day"] == 2
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)


def test_a_torrent_that_is_deleted_amid_a_batch_counts_until_then(
    site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site's hour before the deletion has its swarm, the hour after has not."""
    facts, edge = Given(site), ShippingEdge(site)
    facts.facts(uploaded(FILM, 500), uploaded(ALBUM, 501))
    edge.ship([announce(0, STARTED, torrent=ALBUM, user=user) for user in (ADA, GRACE)])
    projected(site, peers)
    edge.ship([announce(4000, STARTED)])
    facts.facts(event(Torrent.Deleted, ALBUM, 2, NOON + timedelta(seconds=4001), reason="dupe"))
    edge.ship([announce(4002, STARTED, torrent=ALBUM, client=2), announce(4002)])
    edge.ship([announce(8000, STARTED, user=GRACE)])
    batches, write = list[int](), rows.write

    def counted(db: Any, segments: Any, *of: Any) -> None:
        batches.append(len(segments))
        write(db, segments, *of)

    monkeypatch.setattr(rows, "write", counted)
    projected(site, peers)
    assert batches == [3]
    assert rows_of(site, "SELECT seeders FROM read.site_history ORDER BY hour") == [(2,), (3,), (2,)]
    assert rows_of(site, "SELECT seeders FROM read.site_swarm") == [(2,)]
    assert swarm(site, ALBUM) == (0, 0, 0)
    monkeypatch.setattr(batch, "ANNOUNCES_AT_ONCE", 1)
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)
    _assert_histories_agree(site)


def test_addresses_of_before_a_stop_do_not_come_back(site: Platform) -> None:
    """Two families before; one after the return, in the batch of the stop or in the next one."""
    for user, batches in ((ADA, [[2, 3]]), (GRACE, [[2], [3]])):
        edge = ShippingEdge(site, f"edge-{user}")
        told = {0: (STARTED, IPV4), 1: (Event.REGULAR, IPV6), 2: (STOPPED, IPV4), 3: (STARTED, IPV6)}
        for records in ([0, 1], *batches):
            edge.ship([announce(n, told[n][0], user=user, address=told[n][1]) for n in records])
            projected(site, peers)
    assert rows_of(site, "SELECT ipv4, port4, ipv6, port6 FROM read.peer") == [(None, None, IPV6, 6881)] * 2
    assert swarm(site, FILM) == (2, 0, 0)


def test_two_edges_in_one_batch_are_explained_by_their_own_places(site: Platform) -> None:
    first, second = ShippingEdge(site, "edge-1"), ShippingEdge(site, "the-other-edge")
    first.ship([announce(0, STARTED), announce(0, STARTED, user=GRACE)])
    second.ship([announce(10, user=GRACE, up=2)], [announce(20, up=3)])
    first.ship([announce(30, up=7)])
    projected(site, peers)
    places = rows_of(
        site, "SELECT edge_id, seq, n, raw_uploaded, user_id FROM read.transfer WHERE raw_uploaded > 0 ORDER BY at"
    )
    assert places == [("the-other-edge", 1, 0, 2, GRACE), ("the-other-edge", 2, 0, 3, ADA), ("edge-1", 2, 0, 4, ADA)]
    assert rows_of(site, "SELECT edge_id, seq FROM read.projected_segment ORDER BY 1") == [
        ("edge-1", 2),
        ("the-other-edge", 2),
    ]


def test_a_size_counts_from_its_upload_on(site: Platform) -> None:
    """Whoever announces a torrent that nobody has uploaded seeds nothing, also where both are of one batch."""
    edge = ShippingEdge(site)
    edge.ship([announce(0, STARTED, user=ADA, torrent=FILM)])
    Given(site).facts(uploaded(FILM, 500))
    edge.ship([announce(9, STARTED, user=GRACE, torrent=FILM)])
    projected(site, peers)
    assert rows_of(site, "SELECT user_id, seed_size FROM read.user_stats ORDER BY 2") == [(ADA, 0), (GRACE, 500)]
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)


def test_a_window_holds_for_what_comes_after_it_in_the_log(site: Platform) -> None:
    """Two announces of one second: the first was shipped before the site promotion was heard of."""
    edge = ShippingEdge(site)
    edge.ship([announce(0, STARTED, left=9)], [announce(600, down=100, left=9)])
    promised = {"upload_percent": 200, "download_percent": 0, "until": None}
    Given(site).facts(event(SitePromotion.Started, new_id(), 1, NOON + timedelta(seconds=600), **promised))
    edge.ship([announce(600, down=300, left=9)])
    projected(site, peers)
    downloads = "SELECT raw_downloaded, downloaded FROM read.transfer ORDER BY position"
    assert rows_of(site, downloads) == [(100, 100), (200, 0)]


def test_who_comes_and_goes_at_once_leaves_the_rows_that_it_leaves_slowly(site: Platform) -> None:
    """Two clients without any traffic: one batch has nothing to add up, two have a one and a minus one."""
    edge = ShippingEdge(site, "edge-1")
    edge.ship([announce(0, STARTED, user=ADA, torrent=FILM)], [announce(5, STOPPED, user=ADA, torrent=FILM)])
    edge.ship([announce(9, STARTED, user=GRACE, torrent=ALBUM), announce(10, EXPIRED, user=GRACE, torrent=ALBUM)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "ANNOUNCES_AT_ONCE", 1)
        projected(site, peers)
    assert rows_of(site, "SELECT seeders, leechers FROM read.torrent_stats") == [(0, 0)] * 2
    assert rows_of(site, "SELECT seeding, leeching FROM read.user_stats") == [(0, 0)] * 2
    assert {check.table: check.differences for check in verify(site, peers)} == dict.fromkeys(peers.tables, 0)
