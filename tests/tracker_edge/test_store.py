"""The edge and a real PostgreSQL: the chain in the store, access by its tables, restoring from them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import uvloop

from domain.announces import Announce, Event, decode, encode, pack
from domain.base import SYSTEM
from domain.peers import EdgeJournal
from runtime.journal import (
    GENESIS,
    AlreadyRecorded,
    BrokenChain,
    Fenced,
    Segment,
    heads,
    insert,
    seal,
    segments,
    verify,
)
from runtime.knowledge import Knowledge
from runtime.platform import Platform
from tests.tracker_edge.edges import get, peer, target
from tracker_edge.access import Changes
from tracker_edge.access_table import AccessFollower, read_changes
from tracker_edge.journal import write_whole
from tracker_edge.protocol.compact import packed
from tracker_edge.segments import into_store
from tracker_edge.server import Edge, from_platform
from tracker_edge.shipper import sealed

pytestmark = pytest.mark.engine

Owner = psycopg.Connection[tuple[Any, ...]]
NOW = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def record(number: int, event: Event = Event.REGULAR, *, left: int = 0, ago_s: int = 0) -> Announce:
    at_us = (time.time_ns() // 1000) - ago_s * 1_000_000
    who = UUID(int=number).bytes, UUID(int=500).bytes, peer(number)
    return Announce(at_us, *who, event, 0, 0, left, packed(f"127.0.0.{number}"), 7000 + number, 0)


def chain(count: int, edge_id: str = "edge-1") -> list[Segment]:
    found: list[Segment] = []
    for seq in range(1, count + 1):
        previous = found[-1].sha256 if found else GENESIS
        at = NOW + timedelta(minutes=seq)
        found.append(seal(edge_id, seq, 1, at, at, previous, encode([record(seq)])))
    return found


def put(owner: Owner, *wanted: Segment) -> None:
    with owner.transaction(), owner.cursor() as cursor:
        for segment in wanted:
            insert(cursor, segment)


def test_a_chain_is_stored_and_read_back(owner: Owner) -> None:
    wanted = chain(70)
    put(owner, *wanted)
    put(owner, *chain(2, "edge-2"))
    assert list(segments(owner, "edge-1")) == wanted
    assert list(segments(owner, "edge-1", 68)) == wanted[68:]
    assert verify(segments(owner, "edge-1")) == heads(owner)[0]
    assert [head.seq for head in heads(owner)] == [70, 2]


def test_only_the_next_segment_is_taken(owner: Owner) -> None:
    first, second, third = chain(3)
    put(owner, first, second)
    with pytest.raises(AlreadyRecorded):
        put(owner, second)
    for wrong in (
        replace(third, seq=4),
        replace(third, previous=first.sha256),
        replace(first, edge_id="edge-2", previous=b"\1" * 32),
        seal("edge-1", 2, 1, NOW, NOW, first.sha256, encode([record(9)])),
        seal("edge-1", 1, 1, NOW, NOW, GENESIS, encode([record(9)])),
    ):
        with pytest.raises(Fenced):
            put(owner, wrong)
    put(owner, third)
    assert [segment.seq for segment in segments(owner, "edge-1")] == [1, 2, 3]


def test_another_compressor_does_not_make_another_segment(owner: Owner) -> None:
    import zstandard

    [first] = chain(1)
    put(owner, first)
    other = replace(first, data=zstandard.ZstdCompressor(level=19).compress(first.payload), sha256=b"")
    from runtime.journal import _chain_hash

    again = replace(other, sha256=_chain_hash(other))
    with pytest.raises(AlreadyRecorded) as caught:
        put(owner, again)
    assert caught.value.sha256 == first.sha256


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal.segment SET announces = 2",
        "DELETE FROM journal.segment",
        "TRUNCATE journal.segment",
        "TRUNCATE journal.segment_rest",
        "DELETE FROM journal.segment_rest",
        "DELETE FROM journal.segment_20260201",
        "TRUNCATE journal.segment_20260201",
    ],
)
def test_segments_are_never_changed_not_even_by_the_owner(owner: Owner, statement: str) -> None:
    owner.execute("SELECT journal.maintain_segments(%s, 1)", (NOW,))
    put(owner, *chain(1), seal("edge-2", 1, 1, NOW, NOW, GENESIS, encode([record(9)])))  # each in another partition
    owner.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute(statement)
    assert owner.execute("SELECT count(*) FROM journal.segment").fetchone() == (2,)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("tracker_app", "DELETE FROM journal.segment"),
        ("tracker_app", "UPDATE journal.head SET seq = 0"),
        ("tracker_app", "INSERT INTO journal.head VALUES ('x', 1, '')"),
        ("tracker_projector", "INSERT INTO journal.segment DEFAULT VALUES"),
        ("tracker_app", "SELECT journal.maintain_segments(now(), 1)"),
    ],
)
def test_roles_may_do_no_more_than_they_need(owner: Owner, role: str, statement: str) -> None:
    owner.execute(f"SET ROLE {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(statement)


def test_days_get_partitions_of_their_own(owner: Owner) -> None:
    owner.execute("SELECT journal.maintain_segments(%s, 2)", (NOW,))
    owner.execute("SELECT journal.maintain_segments(%s, 2)", (NOW,))
    put(owner, *chain(2))
    places = owner.execute("SELECT tableoid::regclass::text, seq FROM journal.segment ORDER BY seq").fetchall()
    assert places == [("journal.segment_20260201", 1), ("journal.segment_20260201", 2)]


def test_a_shipment_is_its_segments_and_one_fact(platform: Platform, owner: Owner) -> None:
    ship = into_store(lambda: platform.store(SYSTEM, "edge"))
    wanted = chain(3)
    ship(wanted[:2])
    ship(wanted[2:])
    with pytest.raises(AlreadyRecorded):
        ship(wanted[2:])
    facts = list(platform.history.events.get(EdgeJournal.stream_id("edge-1")))
    told = [(f.edge_id, f.first_seq, f.last_seq, f.announces, f.sha256) for f in facts]  # type: ignore[attr-defined]
    assert told == [("edge-1", 1, 2, 2, wanted[1].sha256.hex()), ("edge-1", 3, 3, 1, wanted[2].sha256.hex())]
    assert len(list(segments(owner, "edge-1"))) == 3


def test_what_was_shipped_is_known_again_after_an_erasure_and_after_an_update(
    platform: Platform, owner: Owner, tmp_path: Path
) -> None:
    """An answer that was lost, or a crash before the file's deletion: meanwhile the same file makes other bytes."""
    ship, keys = into_store(lambda: platform.store(SYSTEM, "edge")), platform.keyring.write_keys
    second = record(2)
    write_whole(tmp_path, 1, pack(record(1)))
    write_whole(tmp_path, 2, pack(second))
    first = sealed(tmp_path, "edge-1", 1, GENESIS, keys)
    ship([first])
    plain = seal("edge-1", 2, 1, NOW, NOW, first.sha256, encode([second]))
    ship([plain])
    platform.keyring.destroy(UUID(int=1))
    again = sealed(tmp_path, "edge-1", 1, GENESIS, keys)
    assert again.payload != first.payload
    for other, known in ((again, first), (sealed(tmp_path, "edge-1", 2, first.sha256, keys), plain)):
        with pytest.raises(AlreadyRecorded) as caught:
            ship([other])
        assert caught.value.sha256 == known.sha256


def test_a_damaged_segment_is_not_read(owner: Owner) -> None:
    [first] = chain(1)
    assert decode(first.payload)
    with pytest.raises(BrokenChain):
        verify([replace(first, data=first.data + b"x")])


def member(owner: Owner, number: int, position: int, *, passkey_no: int = 1, enabled: bool = True) -> None:
    owner.execute(
        "INSERT INTO read.announce_user (user_id, passkey_no, enabled, can_leech, changed_pos, active, group_slug)"
        " VALUES (%s, %s, %s, true, %s, true, 'member') ON CONFLICT (user_id) DO UPDATE"
        " SET passkey_no = excluded.passkey_no, enabled = excluded.enabled, changed_pos = excluded.changed_pos",
        (UUID(int=number), passkey_no, enabled, position),
    )


def film(owner: Owner, position: int, state: str = "approved") -> None:
    owner.execute(
        "INSERT INTO read.announce_torrent (torrent_id, info_hash_v1, info_hash_v2, state, reason, size, changed_pos)"
        " VALUES (%s, %s, NULL, %s, '', 1000, %s) ON CONFLICT (torrent_id) DO UPDATE"
        " SET state = excluded.state, changed_pos = excluded.changed_pos",
        (UUID(int=500), b"\x01" * 20, state, position),
    )


def test_changes_are_read_once_and_a_rebuild_is_noticed(owner: Owner) -> None:
    member(owner, 1, 5)
    film(owner, 6)
    found = read_changes(owner, b"s", (-1, -1))
    assert found is not None
    assert (len(found.users), len(found.torrents), found.position, found.whole) == (1, 1, (5, 6), True)
    assert read_changes(owner, b"s", found.position) is None
    member(owner, 2, 7)
    more = read_changes(owner, b"s", found.position)
    assert more is not None
    assert ([u.id for u in more.users], more.torrents, more.position, more.whole) == (
        [UUID(int=2).bytes], [], (7, 6), False,
    )  # fmt: skip
    owner.execute("DELETE FROM read.announce_user WHERE user_id = %s", (UUID(int=2),))
    again = read_changes(owner, b"s", more.position)
    assert again is not None
    assert (len(again.users), len(again.torrents), again.whole) == (1, 1, True)


def test_a_change_arrives_within_a_second_and_after_a_lost_connection(owner: Owner, database: str) -> None:
    member(owner, 1, 5)
    taken: list[Changes] = []
    follower = AccessFollower(database, "tracker_app", b"s", taken.append, Knowledge(lambda _: 0.0))
    follower.start()
    try:
        within(1.0, lambda: len(taken) == 1)
        member(owner, 1, 6, passkey_no=2)
        within(1.0, lambda: len(taken) == 2)
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        member(owner, 1, 7, enabled=False)
        within(4.0, lambda: len(taken) == 3)
    finally:
        follower.stop()
    assert not taken[-1].users[0].enabled


def within(seconds: float, question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def test_a_new_edge_knows_projected_sessions_and_what_is_journaled_after_them(
    platform: Platform, owner: Owner, tmp_path: Path
) -> None:
    for number in range(1, 6):
        member(owner, number, number)
    film(owner, 6)
    for number, left in ((1, 0), (2, 10)):
        session(owner, number, left)
    owner.execute("INSERT INTO read.torrent_stats VALUES (%s, 1, 1, 42, 0, 0)", (UUID(int=500),))
    announced = [[record(1, Event.STOPPED)], [record(3, left=5)]]
    ship = into_store(lambda: platform.store(SYSTEM, "edge"))
    previous = GENESIS
    for seq, records in enumerate(announced, start=1):
        segment = seal("edge-1", seq, 1, NOW, NOW, previous, encode(records))
        ship([segment])
        previous = segment.sha256

    async def run() -> bytes:
        settings = platform.settings.edge.model_copy(update={"http_port": 0})
        secret = from_platform(platform).announce_secret
        from domain.announce_keys import announce_key

        edge = Edge(settings, tmp_path / "journal", from_platform(platform))
        await edge.start()
        try:
            assert edge.swarms.counts(UUID(int=500).bytes) == (0, 42, 2, 2)
            own = announce_key(secret, UUID(int=4), 1, UUID(int=500))
            return await get(edge.ports[0], target(4, UUID(int=4), announce_key=own))
        finally:
            await edge.stop()

    assert b"5:peers12:" in uvloop.run(run())
    stored = list(segments(owner, "edge-1"))
    assert [segment.seq for segment in stored] == [1, 2, 3]
    assert verify(stored) is not None
    assert [a.user_id for a in decode(stored[-1].payload)] == [UUID(int=4).bytes]


def session(owner: Owner, number: int, left: int) -> None:
    owner.execute(
        "INSERT INTO read.peer (torrent_id, user_id, peer_id, ipv4, port4, uploaded, downloaded, high_uploaded,"
        " high_downloaded, remaining, active, first_announced_at, last_announced_at, moved_at, credited_uploaded,"
        " credited_downloaded, seed_time_s)"
        " VALUES (%s, %s, %s, %s, %s, 0, 0, 0, 0, %s, true, now(), now(), now(), 0, 0, 0)",
        (UUID(int=500), UUID(int=number), peer(number), packed(f"127.0.0.{number}"), 7000 + number, left),
    )
