"""What the announce journal adds up to: segments in, rows out, and the same rows again."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import domain
from domain.announces import Announce, Event
from domain.base import MAX_COUNT
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.torrents import Torrent
from domain.users import User
from projections.peers import peers
from runtime.follow import Step
from runtime.journal import BrokenChain
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.store import new_id
from tests.conftest import MakePlatform
from tests.given import NOON, Given, event, halted_error, projected, rows_of
from tests.peers.edges import ADA, ALBUM, FILM, GRACE, IPV6, ShippingEdge, announce, stats, swarm

pytestmark = pytest.mark.engine

STARTED, COMPLETED, STOPPED, EXPIRED = Event.STARTED, Event.COMPLETED, Event.STOPPED, Event.EXPIRED


@pytest.fixture
def site(make_platform: MakePlatform) -> Platform:
    return make_platform(domain.EVENTS, (peers,))


@pytest.fixture
def edge(site: Platform) -> ShippingEdge:
    return ShippingEdge(site)


def at(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def counted(edge: ShippingEdge, *segments: list[Announce]) -> None:
    edge.ship(*segments)
    projected(edge.platform, peers)


def test_two_users_on_two_torrents_are_told_apart(edge: ShippingEdge) -> None:
    everybody = [(ADA, FILM), (ADA, ALBUM), (GRACE, FILM)]
    counted(edge, [announce(0, STARTED, user=u, torrent=t, left=4) for u, t in everybody])
    counted(
        edge,
        [announce(100, user=ADA, torrent=FILM, up=10, down=1, left=3)],
        [announce(100, COMPLETED, user=ADA, torrent=ALBUM, up=200, down=4)],
        [announce(100, user=GRACE, torrent=FILM, up=3000, left=4)],
    )
    ada, grace = stats(edge.platform, ADA), stats(edge.platform, GRACE)
    assert (ada["uploaded"], ada["downloaded"], ada["seeding"], ada["leeching"], ada["snatched"]) == (210, 5, 1, 1, 1)
    assert (grace["uploaded"], grace["downloaded"], grace["leeching"], grace["snatched"]) == (3000, 0, 1, 0)
    assert (swarm(edge.platform, FILM), swarm(edge.platform, ALBUM)) == ((0, 2, 0), (1, 0, 1))
    moved = rows_of(
        edge.platform, "SELECT uploaded, downloaded FROM read.torrent_stats ORDER BY torrent_id = %s", [FILM]
    )
    assert moved == [(200, 4), (3010, 1)]


def test_every_number_is_the_sum_of_its_explanations(edge: ShippingEdge) -> None:
    counted(edge, [announce(0, STARTED, user=u) for u in (ADA, GRACE)])
    counted(edge, *[[announce(n * 600, user=u, up=n * n, down=n) for u in (ADA, GRACE)] for n in (1, 2, 3)])
    sums = rows_of(
        edge.platform,
        "SELECT user_id, sum(uploaded), sum(downloaded), sum(seed_time_s) FROM read.transfer GROUP BY 1 ORDER BY 1",
    )
    assert sums == [(GRACE, 9, 3, 1800), (ADA, 9, 3, 1800)] or sums == [(ADA, 9, 3, 1800), (GRACE, 9, 3, 1800)]
    chain = rows_of(
        edge.platform,
        "SELECT baseline_uploaded, raw_uploaded, client_uploaded, seq, n FROM read.transfer"
        " WHERE user_id = %s ORDER BY seq",
        [GRACE],
    )
    assert chain == [(0, 1, 1, 2, 1), (1, 3, 4, 3, 1), (4, 5, 9, 4, 1)]


def test_duplicates_within_and_across_segments_change_nothing(edge: ShippingEdge) -> None:
    twice = [announce(60, up=50), announce(60, up=50)]
    counted(edge, [announce(0, STARTED), announce(0, STARTED)], twice)
    counted(edge, twice, [announce(60, user=GRACE, up=50)])
    assert stats(edge.platform, ADA)["uploaded"] == 50
    assert stats(edge.platform, GRACE)["uploaded"] == 0
    assert swarm(edge.platform, FILM) == (2, 0, 0)


def test_both_hashes_and_both_families_of_a_hybrid_torrent_are_one_session(edge: ShippingEdge) -> None:
    """The edge resolves both hashes to one torrent: a client's four announces come as four records of one session."""
    for second, up in ((0, 0), (1800, 700)):
        counted(edge, [announce(second + n / 10, up=up, address=a) for n, a in enumerate((b"\x01" * 4, IPV6) * 2)])
    assert stats(edge.platform, ADA)["uploaded"] == 700
    assert stats(edge.platform, ADA)["seed_time_s"] == 1799, "of 1799.7 seconds"
    assert swarm(edge.platform, FILM) == (1, 0, 0)
    assert rows_of(edge.platform, "SELECT ipv4, port4, ipv6, port6 FROM read.peer WHERE active") == [
        (b"\x01" * 4, 6881, IPV6, 6881)
    ]


def test_a_snatch_is_counted_once_over_clients_and_time(edge: ShippingEdge) -> None:
    counted(edge, [announce(0, STARTED, user=u, client=c, left=9) for u in (ADA, GRACE) for c in (1, 2)])
    counted(edge, [announce(10, COMPLETED, client=1, down=9)])
    counted(edge, [announce(20, COMPLETED, client=2, down=9), announce(25, user=GRACE, client=1, down=9)])
    counted(edge, [announce(30, COMPLETED, client=2, down=9)])
    assert swarm(edge.platform, FILM) == (3, 1, 2)
    assert rows_of(edge.platform, "SELECT at FROM read.snatch ORDER BY at") == [(at(10),), (at(25),)]
    assert [stats(edge.platform, u)["snatched"] for u in (ADA, GRACE)] == [1, 1]


def test_who_stops_or_falls_silent_leaves_and_keeps_the_baseline(edge: ShippingEdge) -> None:
    counted(edge, [announce(0, STARTED, user=u, up=5) for u in (ADA, GRACE)])
    counted(edge, [announce(60, STOPPED, up=10), announce(8000, EXPIRED, user=GRACE)])
    assert swarm(edge.platform, FILM) == (0, 0, 0)
    assert rows_of(edge.platform, "SELECT DISTINCT active, ipv4, port4 FROM read.peer") == [(False, None, None)]
    counted(edge, [announce(9000, up=16), announce(9000, user=GRACE, up=8)])
    assert [stats(edge.platform, u)["uploaded"] for u in (ADA, GRACE)] == [11, 3]
    assert [stats(edge.platform, u)["seed_time_s"] for u in (ADA, GRACE)] == [60, 0]
    assert swarm(edge.platform, FILM) == (2, 0, 0)


def test_two_edges_feed_one_session(edge: ShippingEdge) -> None:
    other = ShippingEdge(edge.platform, "edge-2")
    counted(edge, [announce(0, STARTED), announce(0, STARTED, user=GRACE)])
    counted(other, [announce(100, up=30)])
    counted(edge, [announce(50, up=20), announce(50, user=GRACE, up=1)])
    counted(other, [announce(150, up=31)])
    assert [stats(edge.platform, u)["uploaded"] for u in (ADA, GRACE)] == [31, 1]
    assert rows_of(edge.platform, "SELECT anomaly, count(*) FROM read.transfer GROUP BY 1 ORDER BY 1") == [
        ("out_of_order", 1),
        (None, 3),
    ]


def test_freeleech_holds_by_the_time_of_the_announce(edge: ShippingEdge) -> None:
    facts = Given(edge.platform)
    facts.facts(
        event(Torrent.FreeleechGranted, FILM, 1, at(100), until=at(1000)),
        event(Torrent.FreeleechGranted, FILM, 2, at(200), until=at(300)),
        event(Torrent.FreeleechGranted, ALBUM, 1, at(0), until=at(1000)),
        event(Torrent.FreeleechEnded, ALBUM, 2, at(150)),
    )
    downs = [(0, 0), (99, 1), (100, 10), (299, 100), (300, 1000), (999, 10000)]
    records = [
        announce(s, torrent=t, user=u, down=d, left=1) for s, d in downs for u, t in ((ADA, FILM), (GRACE, ALBUM))
    ]
    counted(edge, records)
    ada, grace = stats(edge.platform, ADA), stats(edge.platform, GRACE)
    assert (ada["downloaded"], ada["raw_downloaded"]) == (1 + 900 + 9000, 10000)
    assert (grace["downloaded"], grace["raw_downloaded"]) == (90 + 900 + 9000, 10000)


def test_the_perk_follows_group_and_permissions(edge: ShippingEdge) -> None:
    member, vip = group_id("member"), group_id("vip")
    facts = Given(edge.platform)
    free = [str(Permission.FREELEECH)]
    facts.facts(
        event(Group.Founded, member, slug="member", name="Member", level=1, permissions=[]),
        event(Group.Founded, vip, slug="vip", name="VIP", level=2, permissions=free),
        event(User.Registered, ADA, 1, at(0), username="ada", email="ada@example.org", group="vip"),
        event(User.Registered, GRACE, 1, at(0), username="grace", email="grace@example.org", group="member"),
        event(User.GroupChanged, ADA, 2, at(10), group="member", reason=""),
        event(Group.PermissionsChanged, member, 2, at(20), permissions=free),
        event(Group.PermissionsChanged, member, 3, at(30), permissions=[]),
        event(User.GroupChanged, GRACE, 2, at(40), group="vip", reason=""),
    )
    times = [0, 5, 15, 25, 35, 45]
    counted(edge, [announce(s, user=u, down=s, left=1) for s in times for u in (ADA, GRACE)])
    charged = [
        rows_of(edge.platform, "SELECT array_agg(downloaded ORDER BY n) FROM read.transfer WHERE user_id = %s", [u])
        for u in (ADA, GRACE)
    ]
    assert charged == [[([0, 10, 0, 10, 10],)], [([5, 10, 0, 10, 0],)]]


def test_a_deleted_torrent_loses_its_swarm_and_nobody_loses_credit(edge: ShippingEdge) -> None:
    counted(edge, [announce(0, user=u, torrent=t) for u in (ADA, GRACE) for t in (FILM, ALBUM)])
    counted(edge, [announce(60, torrent=t, up=9, left=left) for t, left in ((FILM, 5), (ALBUM, 0))])
    Given(edge.platform).facts(event(Torrent.Deleted, FILM, 1, reason="dupe"))
    projected(edge.platform, peers)
    assert (swarm(edge.platform, FILM), swarm(edge.platform, ALBUM)) == ((0, 0, 0), (2, 0, 0))
    counted(edge, [announce(70, up=20, left=5), announce(80, EXPIRED, user=GRACE)])
    assert swarm(edge.platform, FILM) == (0, 0, 0)
    ada, grace = stats(edge.platform, ADA), stats(edge.platform, GRACE)
    assert (ada["uploaded"], ada["seeding"], ada["leeching"]) == (9 + 20, 1, 0)
    assert (grace["seeding"], grace["leeching"]) == (1, 0)


def test_sums_stop_at_what_can_be_counted(edge: ShippingEdge) -> None:
    """A client that lies for centuries must not stop everybody's numbers."""
    counted(edge, [announce(0, STARTED, torrent=t, user=u) for t in (FILM, ALBUM) for u in (ADA, GRACE)])
    centuries = 300 * 365 * 86400
    for torrent in (FILM, ALBUM):
        counted(edge, [announce(centuries, user=ADA, torrent=torrent, up=MAX_COUNT), announce(60, user=GRACE, up=1)])
    assert [stats(edge.platform, u)["uploaded"] for u in (ADA, GRACE)] == [MAX_COUNT, 1]


def test_a_journal_that_is_not_what_was_sealed_halts_the_projection(edge: ShippingEdge, owner: Any) -> None:
    counted(edge, [announce(0), announce(0, user=GRACE)])
    edge.ship([announce(60, up=5)])
    owner.execute("ALTER TABLE journal.segment DISABLE TRIGGER USER")
    owner.execute("UPDATE journal.segment SET announces = 2 WHERE seq = 2")
    assert edge.platform.engine().drain(peers) is Step.HALTED
    assert BrokenChain.__name__ in halted_error(edge.platform, peers)
    assert stats(edge.platform, ADA)["uploaded"] == 0
    owner.execute("UPDATE journal.segment SET announces = 1 WHERE seq = 2")
    assert edge.platform.engine().drain(peers, retry_halted=True) is Step.IDLE
    assert stats(edge.platform, ADA)["uploaded"] == 5


def test_a_segment_that_is_missing_halts_the_projection(edge: ShippingEdge, owner: Any) -> None:
    counted(edge, [announce(0)])
    edge.ship([announce(60, up=5)], [announce(70, up=6)])
    owner.execute("ALTER TABLE journal.segment DISABLE TRIGGER USER")
    owner.execute("DELETE FROM journal.segment WHERE seq = 3")
    assert edge.platform.engine().drain(peers) is Step.HALTED
    assert stats(edge.platform, ADA)["uploaded"] == 0


def test_a_rebuild_gives_the_same_rows_whatever_is_settled_at_once(
    edge: ShippingEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Given(edge.platform)
    for n in range(40):
        edge.ship(
            *[[announce(n * 100 + s, user=u, up=n * 9 + s, down=n, left=40 - n)] for s in (1, 2) for u in (ADA, GRACE)]
        )
        if n % 10 == 0:
            facts.facts(event(Torrent.FreeleechGranted, FILM, n // 10 + 1, at(n * 100), until=at(n * 100 + 500)))
    edge.ship(*[[announce(5000 + n, up=1000 + n, down=40)] for n in range(40)])
    projected(edge.platform, peers)
    monkeypatch.setattr(sys.modules["projections.peers.batch"], "ANNOUNCES_AT_ONCE", 3)
    checks = verify(edge.platform, peers)
    assert [check.differences for check in checks] == [0] * len(peers.tables)
    assert sum(check.rows for check in checks) > 100
    before = rows_of(edge.platform, "SELECT t::text FROM read.transfer t ORDER BY 1")
    rebuild(edge.platform, peers)
    assert rows_of(edge.platform, "SELECT t::text FROM read.transfer t ORDER BY 1") == before
    counted(edge, [announce(9000, up=2000, down=40)])
    assert stats(edge.platform, ADA)["raw_uploaded"] == 2000 - 1


#: user, torrent, client, seconds since the last one, what uploaded and downloaded grow by, left, event
_STEP = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from((0, 1, 600, 3000, 6000, -400)),
    st.sampled_from((0, 1, 700, -50, -10_000)),
    st.sampled_from((0, 1, 90, -20)),
    st.sampled_from((0, 0, 50)),
    st.sampled_from((*[Event.REGULAR] * 4, STARTED, COMPLETED, STOPPED, EXPIRED)),
    st.booleans(),  # whether the segment ends here
)


class Model:
    """The rules of credit in their plainest form: one session at a time."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[bytes, ...], dict[str, Any]] = {}
        self.earned: dict[tuple[bytes, str], int] = {}
        self.completed: set[tuple[bytes, bytes]] = set()

    def hear(self, record: Announce, *, free: bool) -> None:
        session = self.sessions.get(record[1:4])
        if session is None:
            if record.event in (STOPPED, EXPIRED):
                return
            session = self.sessions[record[1:4]] = {"up": record.uploaded, "down": record.downloaded, "at": 0}
            session.update(top_up=record.uploaded, top_down=record.downloaded, left=0, counted=0, active=False)
        at = record.received_at_us
        if record.event == EXPIRED:
            if at >= session["at"] and session["active"]:
                session.update(at=at, active=False)
            return
        if at < session["counted"]:
            return
        session["counted"] = at
        if at >= session["at"] or record.event == STOPPED:  # a silence that came to be known before is newer
            session.update(at=at, active=record.event != STOPPED)
        if record.left == 0 and (record.event == COMPLETED or session["left"] > 0):
            self.completed.add((record.user_id, record.torrent_id))
        fell = record.uploaded < session["up"] or record.downloaded < session["down"]
        for way, counter, factor in (("up", record.uploaded, 1), ("down", record.downloaded, 0 if free else 1)):
            if not fell:
                self._earn(record.user_id, way, factor * max(0, counter - session[f"top_{way}"]))
            if not fell or record.event == STARTED:
                session[f"top_{way}"] = counter if fell else max(counter, session[f"top_{way}"])
            session[way] = counter
        session["left"] = record.left

    def _earn(self, user_id: bytes, way: str, amount: int) -> None:
        self.earned[user_id, way] = self.earned.get((user_id, way), 0) + amount


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, min_size=1, max_size=40))
def test_whatever_is_announced_the_numbers_are_those_of_the_model(edge: ShippingEdge, steps: list[Any]) -> None:
    """Reordered, repeated, restarted, over several clients and torrents; every example has users of its own."""
    users, torrents = [new_id(), new_id()], [new_id(), new_id()]
    records = _records(steps, users, torrents)
    projected(edge.platform, peers)
    Given(edge.platform).facts(event(Torrent.FreeleechGranted, torrents[0], 1, at(1000), until=at(9000)))
    model = Model()
    for record in records:
        seconds = (record.received_at_us - announce().received_at_us) / 1e6
        model.hear(record, free=record.torrent_id == torrents[0].bytes and 1000 <= seconds < 9000)
    _ship_in_pieces(edge, records, [end for *_, end in steps])
    projected(edge.platform, peers)
    for user in users:
        found = stats(edge.platform, user)
        assert found["uploaded"] == model.earned.get((user.bytes, "up"), 0)
        assert found["downloaded"] == model.earned.get((user.bytes, "down"), 0)
        assert found["snatched"] == sum(user_id == user.bytes for user_id, _ in model.completed)
        times = [record.received_at_us for record in records]
        assert found["seed_time_s"] <= 2 * (max(times) - min(times)) / 1e6  # two torrents
        _assert_sums_agree(edge.platform, user)
    for torrent in torrents:
        active = [s for k, s in model.sessions.items() if k[1] == torrent.bytes and s["active"]]
        seeders = sum(session["left"] == 0 for session in active)
        completed = sum(torrent_id == torrent.bytes for _, torrent_id in model.completed)
        assert swarm(edge.platform, torrent) == (seeders, len(active) - seeders, completed)


def _records(steps: list[Any], users: list[UUID], torrents: list[UUID]) -> list[Announce]:
    now, counters, records = 0, dict[Any, tuple[int, int]](), []
    for user, torrent, client, wait, up, down, left, kind, _ in steps:
        now = max(0, now + wait)
        before = counters.get((user, torrent, client), (100, 100))
        after = max(0, before[0] + up), max(0, before[1] + down)
        counters[user, torrent, client] = after
        who = {"user": users[user], "torrent": torrents[torrent], "client": client}
        records.append(announce(now, kind, **who, up=after[0], down=after[1], left=left))
    return records


def _ship_in_pieces(edge: ShippingEdge, records: list[Announce], ends: list[bool]) -> None:
    segments: list[list[Announce]] = [[]]
    for record, end in zip(records, ends, strict=True):
        segments[-1].append(record)
        if end:
            segments.append([])
    filled = [segment for segment in segments if segment]
    edge.ship(*filled[:2])
    if filled[2:]:
        edge.ship(*filled[2:])


def _assert_sums_agree(platform: Platform, user: UUID) -> None:
    """The profile, the explanations and the sessions tell one story."""
    found = stats(platform, user)
    for table, names in (
        ("transfer", ("uploaded", "downloaded", "seed_time_s")),
        ("peer", ("credited_uploaded", "credited_downloaded", "seed_time_s")),
    ):
        sums = rows_of(
            platform,
            f"SELECT {', '.join(f'coalesce(sum({name}), 0)' for name in names)} FROM read.{table} WHERE user_id = %s",
            [user],
        )
        assert sums == [(found["uploaded"], found["downloaded"], found["seed_time_s"])]
