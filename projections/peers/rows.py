"""The rows of a batch of announces: what is loaded before it is settled, what is written after.

What changes is copied into temporary tables of the connection and applied from there, one statement per table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString

from domain.credit import Session
from domain.tally import Client, Key, Pair, Tally
from projections.peers import binary, sums
from projections.peers.binary import EPOCH_US, Place
from runtime.db import MissingRow, Writer

#: Where the row of each client that was loaded is; it stays there until the transaction writes it.
RowPlaces = dict[Key, bytes]


def prepare(db: Writer) -> None:
    """What this transaction needs besides the read tables."""
    # The planner takes a batch for a reason to read a whole table, which costs the more the larger the site is.
    db.execute("SET LOCAL enable_hashjoin = off")
    db.execute("SET LOCAL enable_mergejoin = off")
    db.execute("SET LOCAL client_min_messages = warning")
    for table in (_CHANGED_CLIENTS, *sums.CHANGES):
        db.execute(table)


_CHANGED_CLIENTS: LiteralString = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS changed_client (place tid, moved_out boolean, uploaded bigint,"
    " downloaded bigint, high_uploaded bigint, high_downloaded bigint, remaining bigint, active boolean,"
    " moved_at timestamptz, last_announced_at timestamptz, credited_uploaded bigint, credited_downloaded bigint,"
    " seed_time_s bigint, seeded_until timestamptz, ipv4 bytea, port4 int, ipv6 bytea, port6 int)"
    " ON COMMIT DELETE ROWS"
)


def clients(db: Writer, pairs: Iterable[Pair]) -> tuple[dict[Key, Client], RowPlaces]:
    """All clients of these users on these torrents, and where their rows are."""
    asked = sorted(pairs, key=b"".join)  # as the index is
    torrents, users = zip(*asked, strict=True)
    # Times come as they are stored: PostgreSQL would make numbers of them by way of decimal fractions.
    rows = db.rows(
        "SELECT number, peer_id, uploaded, downloaded, high_uploaded, high_downloaded, remaining, active,"
        " timestamptz_send(moved_at) || timestamptz_send(last_announced_at), timestamptz_send(seeded_until),"
        " credited_uploaded, credited_downloaded, seed_time_s, tidsend(peer.ctid)"
        " FROM unnest(%s::uuid[], %s::uuid[]) WITH ORDINALITY AS announced (torrent_id, user_id, number)"
        " JOIN peer USING (torrent_id, user_id)",
        (binary.hexes(torrents), binary.hexes(users)),
    )
    found, places = dict[Key, Client](), RowPlaces()
    for (
        number,
        peer_id,
        up,
        down,
        high_up,
        high_down,
        left,
        active,
        times,
        until,
        got_up,
        got_down,
        seed_s,
        place,
    ) in rows:
        moved_us, announced_us = binary.two_times(times)
        session = Session(up, down, high_up, high_down, left, active, moved_us + EPOCH_US, announced_us + EPOCH_US)
        until_us = None if until is None else int.from_bytes(until, signed=True) + EPOCH_US
        key = *asked[number - 1], peer_id
        found[key], places[key] = Client(session, None, got_up, got_down, seed_s, until_us), place
    return found, places


def deleted(db: Writer, torrents: Iterable[bytes]) -> set[bytes]:
    rows = db.rows(
        "SELECT uuid_send(torrent_id) FROM deleted_torrent WHERE torrent_id = ANY(%s::uuid[])",
        (binary.hexes(torrents),),
    )
    return {torrent_id for (torrent_id,) in rows}


def _sizes(db: Writer, torrents: Iterable[bytes]) -> dict[bytes, int]:
    return dict(
        db.rows(
            "SELECT uuid_send(torrent_id), size FROM torrent_size WHERE torrent_id = ANY(%s::uuid[])",
            (binary.hexes(torrents),),
        )
    )


def write(db: Writer, segments: Sequence[Place], tally: Tally, row_places: RowPlaces) -> None:
    """`segments` are those that were added to the tally under the numbers 0, 1, 2 …"""
    _write_clients(db, tally, row_places)
    _write_transfers(db, segments, tally)
    tally.complete(_write_snatches(db, tally.snatches))
    tally.weigh(_sizes(db, {change.torrent_id for change in tally.seeding_changes}))
    sums.write(db, tally)


def _write_clients(db: Writer, tally: Tally, row_places: RowPlaces) -> None:
    known, new = [], []
    for key in tally.changed:
        place = row_places.get(key)
        if place is None:
            new.append(binary.new_client(key, tally.clients[key]))
        else:
            known.append(binary.known_client(place, tally.clients[key]))
    if new:
        new.sort()
        db.copy(
            "COPY peer (torrent_id, user_id, peer_id, first_announced_at, uploaded, downloaded, high_uploaded,"
            " high_downloaded, remaining, active, moved_at, last_announced_at, credited_uploaded, credited_downloaded,"
            " seed_time_s, seeded_until, ipv4, port4, ipv6, port6) FROM STDIN (FORMAT binary)",
            new,
        )
    if known:
        known.sort()
        db.copy("COPY changed_client FROM STDIN (FORMAT binary)", known)
        db.execute(
            "UPDATE peer p SET uploaded = c.uploaded, downloaded = c.downloaded, high_uploaded = c.high_uploaded,"
            " high_downloaded = c.high_downloaded, remaining = c.remaining, active = c.active, moved_at = c.moved_at,"
            " last_announced_at = c.last_announced_at, credited_uploaded = c.credited_uploaded,"
            " credited_downloaded = c.credited_downloaded, seed_time_s = c.seed_time_s, seeded_until = c.seeded_until,"
            " ipv4 = coalesce(c.ipv4, CASE WHEN NOT c.moved_out THEN p.ipv4 END),"
            " port4 = coalesce(c.port4, CASE WHEN NOT c.moved_out THEN p.port4 END),"
            " ipv6 = coalesce(c.ipv6, CASE WHEN NOT c.moved_out THEN p.ipv6 END),"
            " port6 = coalesce(c.port6, CASE WHEN NOT c.moved_out THEN p.port6 END)"
            " FROM changed_client c WHERE p.ctid = c.place"
        )
        if db.cursor.rowcount != len(known):
            raise MissingRow("a client's row is not where it was")
        db.execute("DELETE FROM changed_client")


def _write_transfers(db: Writer, segments: Sequence[Place], tally: Tally) -> None:
    rows = [segments[transfer.seq].transfer(transfer) for transfer in tally.transfers]
    rows.sort()  # by user, as the index is
    if rows:
        db.copy(
            "COPY transfer (user_id, position, seq, n, edge_id, torrent_id, peer_id, at, client_uploaded,"
            " client_downloaded, baseline_uploaded, baseline_downloaded, raw_uploaded, raw_downloaded, upload_percent,"
            " download_percent, uploaded, downloaded, seed_time_s, anomaly) FROM STDIN (FORMAT binary)",
            rows,
        )


def _write_snatches(db: Writer, candidates: dict[Pair, int]) -> list[Pair]:
    """Those that were the first of their user and torrent."""
    if not candidates:
        return []
    torrents, users = zip(*candidates, strict=True)
    return db.rows(
        "INSERT INTO snatch (torrent_id, user_id, at)"
        " SELECT torrent_id, user_id, timestamptz 'epoch' + at * interval '1 microsecond'"
        " FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[]) AS t (torrent_id, user_id, at)"
        " ON CONFLICT DO NOTHING RETURNING uuid_send(torrent_id), uuid_send(user_id)",
        (binary.hexes(torrents), binary.hexes(users), list(candidates.values())),
    )
