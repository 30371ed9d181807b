"""The rows of a batch of announces: what is loaded before it is settled, what is written after.

Lists go to the database as the text of arrays, which costs a tenth of adapting them one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter

from domain.base import MAX_COUNT
from domain.credit import Session
from domain.tally import Client, Key, Pair, Tally, Transfer
from runtime.db import Writer


def clients(db: Writer, pairs: Iterable[Pair]) -> dict[Key, Client]:
    torrents, users = zip(*pairs, strict=True)
    rows = db.rows(
        "SELECT uuid_send(torrent_id), uuid_send(user_id), peer_id, uploaded, downloaded, high_uploaded,"
        " high_downloaded, remaining, active, (extract(epoch FROM moved_at) * 1000000)::bigint,"
        " (extract(epoch FROM last_announced_at) * 1000000)::bigint,"
        " (extract(epoch FROM first_announced_at) * 1000000)::bigint, credited_uploaded, credited_downloaded,"
        " seed_time_s, (extract(epoch FROM seeded_until) * 1000000)::bigint, ipv4, port4, ipv6, port6"
        " FROM unnest(%s::uuid[], %s::uuid[]) AS announced (torrent_id, user_id)"
        " JOIN peer USING (torrent_id, user_id)",
        (hexes(torrents), hexes(users)),
    )
    return {row[:3]: Client(Session._make(row[3:11]), *row[11:]) for row in rows}


def deleted(db: Writer, torrents: Iterable[bytes]) -> set[bytes]:
    rows = db.rows(
        "SELECT uuid_send(torrent_id) FROM deleted_torrent WHERE torrent_id = ANY(%s::uuid[])", (hexes(torrents),)
    )
    return {torrent_id for (torrent_id,) in rows}


def write(db: Writer, position: int, edge_id: str, tally: Tally) -> None:
    _write_clients(db, [(key, tally.clients[key]) for key in tally.changed])
    _write_transfers(db, position, edge_id, tally.transfers)
    snatches = _write_snatches(db, tally.snatches)
    _write_users(db, tally, snatches)
    _write_torrents(db, tally, snatches)


def _write_clients(db: Writer, rows: Sequence[tuple[Key, Client]]) -> None:
    if not rows:
        return
    keys, clients = zip(*rows, strict=True)
    torrents, users, peer_ids = zip(*keys, strict=True)
    sessions = zip(*[client.session for client in clients], strict=True)
    *earned, ipv4, ipv6, port4, port6 = zip(*map(_EARNED_AND_ADDRESSES, clients), strict=True)
    db.execute(
        "INSERT INTO peer (torrent_id, user_id, peer_id, uploaded, downloaded, high_uploaded, high_downloaded,"
        " remaining, active, moved_at, last_announced_at, first_announced_at, credited_uploaded,"
        " credited_downloaded, seed_time_s, seeded_until, ipv4, ipv6, port4, port6)"
        " SELECT torrent_id, user_id, decode(peer_id, 'hex'), uploaded, downloaded, high_uploaded, high_downloaded,"
        " remaining, active, timestamptz 'epoch' + moved * interval '1 microsecond',"
        " timestamptz 'epoch' + announced * interval '1 microsecond',"
        " timestamptz 'epoch' + first * interval '1 microsecond', credited_uploaded, credited_downloaded, seed_time_s,"
        " timestamptz 'epoch' + seeded * interval '1 microsecond', decode(ipv4, 'hex'), decode(ipv6, 'hex'),"
        " port4, port6"
        " FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::boolean[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::int[]) AS client (torrent_id, user_id,"
        " peer_id, uploaded, downloaded, high_uploaded, high_downloaded, remaining, active, moved, announced, first,"
        " credited_uploaded, credited_downloaded, seed_time_s, seeded, ipv4, ipv6, port4, port6)"
        " ON CONFLICT (torrent_id, user_id, peer_id) DO UPDATE SET uploaded = excluded.uploaded,"
        " downloaded = excluded.downloaded, high_uploaded = excluded.high_uploaded,"
        " high_downloaded = excluded.high_downloaded, remaining = excluded.remaining, active = excluded.active,"
        " moved_at = excluded.moved_at, last_announced_at = excluded.last_announced_at,"
        " credited_uploaded = excluded.credited_uploaded, credited_downloaded = excluded.credited_downloaded,"
        " seed_time_s = excluded.seed_time_s, seeded_until = excluded.seeded_until, ipv4 = excluded.ipv4,"
        " ipv6 = excluded.ipv6, port4 = excluded.port4, port6 = excluded.port6",
        (
            *map(hexes, (torrents, users, peer_ids)),
            *map(_array, sessions),
            *map(_array, earned),
            *map(_hex_or_null, (ipv4, ipv6)),
            *map(_array, (port4, port6)),
        ),
    )


def _write_transfers(db: Writer, position: int, edge_id: str, transfers: Sequence[Transfer]) -> None:
    if not transfers:
        return
    seqs, ns, announces, credits, seed_times = zip(*transfers, strict=True)
    at, user, torrent, peer, _, uploaded, downloaded, *_ = zip(*announces, strict=True)
    *columns, _, _, anomalies = zip(*credits, strict=True)
    db.execute(
        "INSERT INTO transfer (user_id, position, edge_id, seq, n, torrent_id, peer_id, at, client_uploaded,"
        " client_downloaded, baseline_uploaded, baseline_downloaded, raw_uploaded, raw_downloaded, upload_percent,"
        " download_percent, uploaded, downloaded, seed_time_s, anomaly)"
        " SELECT user_id, %s, %s, seq, n, torrent_id, decode(peer_id, 'hex'),"
        " timestamptz 'epoch' + at * interval '1 microsecond', client_uploaded, client_downloaded, baseline_uploaded,"
        " baseline_downloaded, raw_uploaded, raw_downloaded, upload_percent, download_percent, uploaded, downloaded,"
        " seed_time_s, anomaly"
        " FROM unnest(%s::uuid[], %s::bigint[], %s::int[], %s::uuid[], %s::text[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::bigint[],"
        " %s::bigint[], %s::bigint[], %s::text[]) AS t (user_id, seq, n, torrent_id, peer_id, at, client_uploaded,"
        " client_downloaded, baseline_uploaded, baseline_downloaded, raw_uploaded, raw_downloaded, upload_percent,"
        " download_percent, uploaded, downloaded, seed_time_s, anomaly)",
        (
            position,
            edge_id,
            hexes(user),
            *map(_array, (seqs, ns)),
            *map(hexes, (torrent, peer)),
            *map(_array, (at, uploaded, downloaded, *columns, seed_times)),
            _words(anomalies),
        ),
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
        (hexes(torrents), hexes(users), _array(candidates.values())),
    )


def _write_users(db: Writer, tally: Tally, snatches: Iterable[Pair]) -> None:
    """Sums are held at what the store can count: a liar must not stop everybody's numbers."""
    snatched: defaultdict[bytes, int] = defaultdict(int)
    for _, user_id in snatches:
        snatched[user_id] += 1
    users = {user_id: tally.users[user_id] for user_id in (*tally.users, *snatched)}
    if not users:
        return
    sums = zip(*map(_USER_SUMS, users.values()), strict=True)
    db.execute(
        "INSERT INTO user_stats AS u (user_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seed_time_s,"
        " seeding, leeching, snatched)"
        " SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
        " %s::int[], %s::int[], %s::int[])"
        " ON CONFLICT (user_id) DO UPDATE SET"
        " uploaded = least(u.uploaded, 9223372036854775807 - excluded.uploaded) + excluded.uploaded,"
        " downloaded = least(u.downloaded, 9223372036854775807 - excluded.downloaded) + excluded.downloaded,"
        " raw_uploaded = least(u.raw_uploaded, 9223372036854775807 - excluded.raw_uploaded) + excluded.raw_uploaded,"
        " raw_downloaded ="
        " least(u.raw_downloaded, 9223372036854775807 - excluded.raw_downloaded) + excluded.raw_downloaded,"
        " seed_time_s = u.seed_time_s + excluded.seed_time_s, seeding = u.seeding + excluded.seeding,"
        " leeching = u.leeching + excluded.leeching, snatched = u.snatched + excluded.snatched",
        (hexes(users), *map(_bounded, sums), _array([snatched[user_id] for user_id in users])),
    )


def _write_torrents(db: Writer, tally: Tally, snatches: Iterable[Pair]) -> None:
    completed: defaultdict[bytes, int] = defaultdict(int)
    for torrent_id, _ in snatches:
        completed[torrent_id] += 1
    torrents = {torrent_id: tally.torrents[torrent_id] for torrent_id in (*tally.torrents, *completed)}
    if not torrents:
        return
    sums = zip(*map(_TORRENT_SUMS, torrents.values()), strict=True)
    db.execute(
        "INSERT INTO torrent_stats AS t (torrent_id, uploaded, downloaded, seeders, leechers, times_completed)"
        " SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::bigint[])"
        " ON CONFLICT (torrent_id) DO UPDATE SET"
        " uploaded = least(t.uploaded, 9223372036854775807 - excluded.uploaded) + excluded.uploaded,"
        " downloaded = least(t.downloaded, 9223372036854775807 - excluded.downloaded) + excluded.downloaded,"
        " seeders = t.seeders + excluded.seeders, leechers = t.leechers + excluded.leechers,"
        " times_completed = t.times_completed + excluded.times_completed",
        (hexes(torrents), *map(_bounded, sums), _array([completed[torrent_id] for torrent_id in torrents])),
    )


_EARNED_AND_ADDRESSES = attrgetter(
    "first_announced_us", "uploaded", "downloaded", "seed_time_s", "seeded_until_us", "ipv4", "ipv6", "port4", "port6"
)
_USER_SUMS = attrgetter(
    "uploaded", "downloaded", "raw_uploaded", "raw_downloaded", "seed_time_s", "seeding", "leeching"
)
_TORRENT_SUMS = attrgetter("uploaded", "downloaded", "seeders", "leechers")


def _array(values: Iterable[int | None]) -> str:
    """PostgreSQL's text of an array of numbers or booleans."""
    return "{" + str([*values])[1:-1].replace("None", "NULL") + "}"


def _bounded(values: Iterable[int]) -> str:
    return _array([min(value, MAX_COUNT) for value in values])


def hexes(values: Iterable[bytes]) -> str:
    """The text of an array of ids, or of bytes for `decode(…, 'hex')`."""
    return "{" + ",".join(map(bytes.hex, values)) + "}"


def _hex_or_null(values: Iterable[bytes | None]) -> str:
    return _words([None if value is None else value.hex() for value in values])


def _words(values: Iterable[str | None]) -> str:
    """The text of an array of plain words."""
    return "{" + ",".join([value or "NULL" for value in values]) + "}"
