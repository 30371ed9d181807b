"""What an announce takes on disk: in shipped segments, in PostgreSQL, and in the files of archived days."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from itertools import groupby, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg

from bench.catalogue import made_up
from bench.load.population import Session, Shares, session
from bench.stand_alone import made_up_keys
from domain.announce_addresses import encrypted
from domain.announces import Announce, encode
from runtime.embedded import Postgres
from runtime.journal import GENESIS, Segment, insert, seal
from runtime.journal_archive import archive
from runtime.migrate import migrate

#: Announces a second of a whole site.
RATES = (100, 1_000, 5_000)
#: How often an edge ships, and how often a client announces.
SHIP_S, INTERVAL_S = 0.2, 1800
#: Sessions of one user, and of one torrent.
USER_HAS, TORRENT_HAS = 20, 100
#: A day that may be archived, whatever the retention.
KEEP_DAYS, AGO = 1, timedelta(days=60)


class Sizes(NamedTuple):
    """Bytes an announce."""

    shipped: float
    table: float
    archived: float


def journal(shipments: int) -> None:
    """Prints the sizes at every rate; needs a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder)) as postgres:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as owner:
            for days, rate in enumerate(RATES):
                midnight = datetime.combine(datetime.now(UTC) - AGO + timedelta(days=days), time(), UTC)
                found = _sizes(owner, Path(folder), rate, shipments, midnight)
                print(
                    f"{rate:>5,}/s, shipped every {SHIP_S * 1000:.0f} ms: {found.shipped:.1f} bytes an announce in"
                    f" segments, {found.table:.1f} in the table, {found.archived:.1f} in archived days",
                    flush=True,
                )


def _sizes(owner: psycopg.Connection[Any], folder: Path, rate: int, shipments: int, midnight: datetime) -> Sizes:
    before = _table_bytes(owner)
    edge_id, announces, shipped, last = f"edge-{rate}", 0, 0, None
    with owner.transaction(), owner.cursor() as cursor:
        for last in _segments(edge_id, islice(_shipments(rate, int(midnight.timestamp() * 1e6)), shipments)):
            insert(cursor, last)
            announces += last.announces
            shipped += len(last.data)
        assert last is not None
        cursor.execute("INSERT INTO read.projected_segment VALUES (%s, %s, %s)", (edge_id, last.seq, last.sha256))
    table = _table_bytes(owner) - before
    manifests = archive(owner, folder, midnight.date(), KEEP_DAYS)
    archived = sum(manifest.path(folder).stat().st_size for manifest in manifests)
    return Sizes(shipped / announces, table / announces, archived / announces)


def _segments(edge_id: str, shipments: Iterator[list[Announce]]) -> Iterator[Segment]:
    previous = GENESIS
    for seq, announces in enumerate(shipments, start=1):
        first, last = (datetime.fromtimestamp(announces[at].received_at_us / 1e6, UTC) for at in (0, -1))
        payload = encrypted(encode(announces), made_up_keys)
        segment = seal(edge_id, seq, len(announces), first, last, previous, payload)
        previous = segment.sha256
        yield segment


def _shipments(rate: int, began_us: int) -> Iterator[list[Announce]]:
    """What an edge at this rate ships, one list for each interval."""
    ship_us = int(SHIP_S * 1e6)
    for _, announces in groupby(_announces(rate, began_us), lambda one: (one.received_at_us - began_us) // ship_us):
        yield list(announces)


def _announces(rate: int, began_us: int) -> Iterator[Announce]:
    """Announces of sessions in the middle of their lives, at random moments; each session once, as in half an hour."""
    rng = Random(rate)
    sessions = rate * INTERVAL_S
    catalogue = made_up(sessions // USER_HAS, sessions // TORRENT_HAS)
    at_us = began_us
    for number in iter(lambda: rng.randrange(sessions), None):
        one = session(catalogue, number, Shares(), rng)
        one.age()
        at_us += int(rng.expovariate(rate) * 1e6)
        yield from _step(one, catalogue.users[one.peer.user].bytes, at_us)


def _step(one: Session, user_id: bytes, at_us: int) -> Iterator[Announce]:
    """One step as records: of each hash and over each family, a moment apart."""
    one.begin_step()
    step, peer = one.step, one.peer
    home = blake2b(user_id, digest_size=16).digest()
    for _ in one.torrent.hashes:
        for six in one.families:
            yield Announce(
                at_us, user_id, one.torrent.id.bytes, peer.peer_id, step.event, step.uploaded, step.downloaded,
                step.left, b"\x26" + home[1:] if six else b"\x08" + home[1:4], peer.port, peer.key,
            )  # fmt: skip


def _table_bytes(owner: psycopg.Connection[Any]) -> int:
    """Of all partitions, with their indexes and the segments' data."""
    row = owner.execute(
        "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits"
        " WHERE inhparent = 'journal.segment'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])
