"""The rules, slots and times of deletion that an edge reads from the tables, whole and as they change."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.announce_rules import DEFAULT_REFUSED_PORTS, AnnounceRules
from domain.client_rules import ClientRule, ClientRuleKind, Terms
from domain.groups import Group, group_id
from domain.users import User
from projections.announce_access import announce_access
from runtime.knowledge import Knowledge
from runtime.rebuild import rebuild
from tests.given import NOON, Given, event, projected
from tests.torrents.uploads import upload
from tests.tracker_edge.test_store import within
from tracker_edge.access import NO_LIMIT, Access, Changes
from tracker_edge.access_table import AccessFollower, newest, read_changes

Owner = psycopg.Connection[Any]
ANN, BOB = (UUID(int=n) for n in (1, 2))
QB = Terms("qBittorrent", "-qB{x}", "qBittorrent/{n}", [4], [4], None, [])
XL = Terms("Thunder", "-XL", None, [], [], "no", [])

pytestmark = pytest.mark.engine


@pytest.fixture
def site(given: Given) -> Given:
    """Two users of two groups, two torrents of which one is deleted."""
    for slug in ("member", "elite"):
        permissions = ["announce.leech", "announce.seed"]
        given.facts(event(Group.Founded, group_id(slug), slug=slug, name=slug, level=9, permissions=permissions))
    for user, name, group in ((ANN, "ann", "member"), (BOB, "bob", "elite")):
        given.facts(event(User.Registered, user, username=name, email=f"{name}@example.org", group=group))
    film, book = (upload(n, uploader_id=ANN, name=f"n{n}", tags=[], trusted=True) for n in (11, 12))
    film.delete("dupe", by=ANN, staff=True, now=NOON)
    given.aggregates(film, book)
    projected(given.platform, announce_access)
    return given


def read(site: Given, owner: Owner, known: Changes | None = None) -> Changes | None:
    """What an edge that knows so much reads once all is projected."""
    projected(site.platform, announce_access)
    if known is None:
        return read_changes(owner, b"s", (-1, -1))
    return read_changes(owner, b"s", known.position, known.rules.position if known.rules else -1)


def test_the_first_read_has_slots_and_times_of_deletion(site: Given, owner: Owner) -> None:
    site.facts(event(Group.DownloadSlotsChanged, group_id("elite"), 2, download_slots=7))
    found = read(site, owner)
    assert found is not None
    assert found.whole
    assert {user.id: user.slots for user in found.users} == {ANN.bytes: NO_LIMIT, BOB.bytes: 7}
    times = {torrent.state: torrent.deleted_at_us for torrent in found.torrents}
    assert times["approved"] == 0
    deleted = owner.execute("SELECT deleted_at FROM read.announce_torrent WHERE state = 'deleted'").fetchone()
    assert deleted is not None
    assert times["deleted"] == int(deleted[0].timestamp()) * 1_000_000 + deleted[0].microsecond
    assert found.rules is None


def test_all_rules_are_read_when_one_changes_and_only_then(site: Given, owner: Owner) -> None:
    first = read(site, owner)
    assert first is not None
    qb, xl = (
        ClientRule.define(UUID(int=21), ClientRuleKind.ALLOW, QB),
        ClientRule.define(UUID(int=22), ClientRuleKind.DENY, XL),
    )
    site.aggregates(qb, xl)
    found = read(site, owner, first)
    assert found is not None
    assert (found.users, found.torrents, found.position, found.whole) == ([], [], first.position, False)
    assert found.rules is not None
    assert found.rules.position == newest(owner)[2]
    assert (found.rules.refused_ports, found.rules.peers_per_torrent) == (frozenset(DEFAULT_REFUSED_PORTS), 3)
    snapshot = Access(b"s")
    snapshot.apply(found)
    for peer_id, agent, allowed in ((b"-qB4", b"qBittorrent/4", True), (b"-qB4", b"", False), (b"-XL1", None, False)):
        assert found.rules.clients is not None
        assert (found.rules.clients.refusal(peer_id, agent) is None) is allowed
    assert read(site, owner, found) is None
    site.facts(event(User.PasskeyReset, ANN, 2, passkey_no=2))
    more = read(site, owner, found)
    assert more is not None
    assert ([user.id for user in more.users], more.rules) == ([ANN.bytes], None)


def test_withdrawn_rules_and_new_limits_replace_what_was(site: Given, owner: Owner) -> None:
    qb = ClientRule.define(UUID(int=21), ClientRuleKind.ALLOW, QB)
    site.aggregates(qb)
    first = read(site, owner)
    qb.withdraw()
    site.aggregates(qb)
    found = read(site, owner, first)
    assert found is not None
    assert found.rules is not None
    assert found.rules.clients is None
    rules = AnnounceRules.lay_down([6881], 1)
    site.aggregates(rules)
    found = read(site, owner, found)
    assert found is not None
    assert found.rules is not None
    assert (found.rules.clients, found.rules.refused_ports, found.rules.peers_per_torrent) == (
        None,
        frozenset({6881}),
        1,
    )


def test_a_rebuild_gives_the_same_rules(site: Given, owner: Owner) -> None:
    site.aggregates(ClientRule.define(UUID(int=21), ClientRuleKind.ALLOW, QB), AnnounceRules.lay_down([6881], 1))
    first = read(site, owner)
    assert first is not None
    rebuild(site.platform, announce_access)
    assert read(site, owner, first) is None
    owner.execute("TRUNCATE read.announce_client_rule, read.announce_rules")
    emptied = read(site, owner, first)
    assert emptied is not None
    assert emptied.rules is not None
    assert (emptied.rules.clients, emptied.rules.peers_per_torrent, emptied.rules.position) == (None, 3, -1)


def test_the_follower_hands_each_set_of_rules_over_once(site: Given, owner: Owner, database: str) -> None:
    taken: list[Changes] = []
    follower = AccessFollower(database, "tracker_app", b"s", taken.append, Knowledge(lambda _: 0.0))
    follower.start()
    try:
        within(2.0, lambda: len(taken) == 1)
        site.aggregates(AnnounceRules.lay_down([6881], 1))
        projected(site.platform, announce_access)
        within(2.0, lambda: len(taken) == 2)
        site.facts(event(User.PasskeyReset, ANN, 2, passkey_no=2))
        projected(site.platform, announce_access)
        within(2.0, lambda: len(taken) == 3)
    finally:
        follower.stop()
    assert [changes.rules and changes.rules.refused_ports for changes in taken] == [None, {6881}, None]


def test_a_poll_is_one_query_over_indexes(owner: Owner) -> None:
    """A sequential scan of a million users 50 times a second would be the whole load of the server."""
    owner.execute("SET enable_seqscan = off")
    for table in ("announce_user", "announce_torrent", "announce_client_rule", "announce_rules"):
        plan = owner.execute(f"EXPLAIN SELECT max(changed_pos) FROM read.{table}").fetchall()
        assert f"{table}_changed" in " ".join(row[0] for row in plan)
