"""Sessions, credit, swarms and snatches: the announce journal in the order of the log, added up.

A fact about segments brings thousands of announces: their sessions are loaded, settled in memory and written back in
a few statements. Lists go to the database as the text of arrays, which costs a tenth of adapting them one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from domain.announces import Announce, decode
from domain.base import MAX_COUNT
from domain.credit import Session
from domain.errors import Conflict
from domain.groups import Group, group_id
from domain.peers import EdgeJournal
from domain.permissions import Permission
from domain.tally import Client, Key, Pair, Promotions, Tally, Transfer, Window
from domain.torrents import Torrent
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.journal import BrokenChain, Head, Segment, verify
from runtime.projection import Projection

#: What is settled at once ends with the segment that reaches this: bounds memory while an outage is caught up.
ANNOUNCES_AT_ONCE = 20_000


class SegmentsArchived(Conflict):
    """The segments of a fact lie in files, where no projection reads."""


peers = Projection(
    "peers",
    "peer",
    "transfer",
    "user_stats",
    "torrent_stats",
    "snatch",
    "projected_segment",
    "free_window",
    "credit_group",
    "credit_member",
    "deleted_torrent",
)


@peers.on(EdgeJournal.SegmentsRecorded)
def segments_recorded(fact: Fact[EdgeJournal.SegmentsRecorded], db: Writer) -> None:
    event = fact.event
    _refuse_archived(db, event)
    head = _head(db, event.edge_id)
    for segments in _portions(_segments(db, event)):
        head = verify(segments, head)
        batch = [(segment.seq, decode(segment.payload)) for segment in segments]
        tally = _tally(db, [announce for _, records in batch for announce in records])
        for seq, records in batch:
            tally.add(seq, records)
        tally.close()
        _write(db, fact.position, event.edge_id, tally)
    if head is None or (head.seq, head.sha256.hex()) != (event.last_seq, event.sha256):
        raise BrokenChain(f"the journal of {event.edge_id} does not end as the fact at {fact.position} says")
    db.execute(
        "INSERT INTO projected_segment (edge_id, seq, sha256) VALUES (%s, %s, %s)"
        " ON CONFLICT (edge_id) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256",
        (head.edge_id, head.seq, head.sha256),
    )


@peers.on(Torrent.FreeleechGranted)
def freeleech_granted(fact: Fact[Torrent.FreeleechGranted], db: Writer) -> None:
    _end_window(db, fact)  # the newest grant alone says until when
    db.execute(
        "INSERT INTO free_window (subject_id, position, starts_at, ends_at) VALUES (%s, %s, %s, %s)",
        (fact.stream_id, fact.position, fact.at, fact.event.until),
    )


@peers.on(Torrent.FreeleechEnded)
def freeleech_ended(fact: Fact[Torrent.FreeleechEnded], db: Writer) -> None:
    _end_window(db, fact)


@peers.on(Torrent.Deleted)
def torrent_deleted(fact: Fact[Torrent.Deleted], db: Writer) -> None:
    """The swarm is gone at once; what it earned stays."""
    db.execute("INSERT INTO deleted_torrent (torrent_id) VALUES (%s)", (fact.stream_id,))
    db.execute(
        "WITH gone AS (UPDATE peer SET active = false, ipv4 = NULL, port4 = NULL, ipv6 = NULL, port6 = NULL"
        "  WHERE torrent_id = %s AND active RETURNING user_id, seeder),"
        " gone_user AS (SELECT user_id, bool_or(seeder)::int AS seeding, bool_or(NOT seeder)::int AS leeching"
        "  FROM gone GROUP BY user_id)"
        " UPDATE user_stats u SET seeding = u.seeding - g.seeding, leeching = u.leeching - g.leeching"
        " FROM gone_user g WHERE g.user_id = u.user_id",
        (fact.stream_id,),
    )
    db.execute("UPDATE torrent_stats SET seeders = 0, leechers = 0 WHERE torrent_id = %s", (fact.stream_id,))


@peers.on(Group.Founded)
def group_founded(fact: Fact[Group.Founded], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_group (group_id, free) VALUES (%s, %s)",
        (fact.stream_id, Permission.FREELEECH in fact.event.permissions),
    )


@peers.on(Group.PermissionsChanged)
def permissions_changed(fact: Fact[Group.PermissionsChanged], db: Writer) -> None:
    db.update(
        "UPDATE credit_group SET free = %s WHERE group_id = %s",
        (Permission.FREELEECH in fact.event.permissions, fact.stream_id),
    )
    _follow_perk(db, fact)


@peers.on(User.Registered)
def user_registered(fact: Fact[User.Registered], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_member (user_id, group_id) VALUES (%s, %s)", (fact.stream_id, group_id(fact.event.group))
    )
    _follow_perk(db, fact)


@peers.on(User.GroupChanged)
def group_changed(fact: Fact[User.GroupChanged], db: Writer) -> None:
    db.update("UPDATE credit_member SET group_id = %s WHERE user_id = %s", (group_id(fact.event.group), fact.stream_id))
    _follow_perk(db, fact)


def _end_window(db: Writer, fact: AnyFact) -> None:
    db.execute(
        "UPDATE free_window SET ends_at = greatest(starts_at, %s)"
        " WHERE subject_id = %s AND (ends_at IS NULL OR ends_at > %s)",
        (fact.at, fact.stream_id, fact.at),
    )


def _follow_perk(db: Writer, fact: AnyFact) -> None:
    """Open or end the windows of the one user or of all members of the one group that the fact is about."""
    about = fact.stream_id, fact.stream_id
    db.execute(
        "INSERT INTO free_window (subject_id, position, starts_at)"
        " SELECT m.user_id, %s, %s FROM credit_member m JOIN credit_group g ON g.group_id = m.group_id AND g.free"
        " WHERE (m.user_id = %s OR m.group_id = %s) AND NOT EXISTS"
        "  (SELECT FROM free_window w WHERE w.subject_id = m.user_id AND w.ends_at IS NULL)",
        (fact.position, fact.at, *about),
    )
    db.execute(
        "UPDATE free_window w SET ends_at = greatest(w.starts_at, %s)"
        " FROM credit_member m LEFT JOIN credit_group g ON g.group_id = m.group_id"
        " WHERE w.subject_id = m.user_id AND w.ends_at IS NULL AND (m.user_id = %s OR m.group_id = %s)"
        " AND NOT coalesce(g.free, false)",
        (fact.at, *about),
    )


def _head(db: Writer, edge_id: str) -> Head | None:
    rows = db.rows("SELECT edge_id, seq, sha256 FROM projected_segment WHERE edge_id = %s", (edge_id,))
    return Head(*rows[0]) if rows else None


def _refuse_archived(db: Writer, event: EdgeJournal.SegmentsRecorded) -> None:
    """A rebuild reads the journal from its first day, so the days that lie in files have to come back first."""
    days = db.rows(
        "SELECT DISTINCT day FROM journal.archived_day WHERE edge_id = %s AND first_seq <= %s AND last_seq >= %s"
        " ORDER BY day",
        (event.edge_id, event.last_seq, event.first_seq),
    )
    if days:
        raise SegmentsArchived(
            f"the journal of {event.edge_id} is archived: run `tracker journal restore {days[0][0]}` first"
        )


def _segments(db: Writer, event: EdgeJournal.SegmentsRecorded) -> Iterator[Segment]:
    """The segments that the fact names; the journal is a source of facts like the log."""
    rows = db.rows(
        "SELECT edge_id, seq, announces, first_at, last_at, sha256, previous, data FROM journal.segment"
        " WHERE edge_id = %s AND seq BETWEEN %s AND %s ORDER BY seq",
        (event.edge_id, event.first_seq, event.last_seq),
    )
    return (Segment(*row) for row in rows)


def _portions(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    portion: list[Segment] = []
    for segment in segments:
        portion.append(segment)
        if sum(one.announces for one in portion) >= ANNOUNCES_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


def _tally(db: Writer, announces: Sequence[Announce]) -> Tally:
    """A tally that knows all that there is to know of these announces' users and torrents."""
    pairs = {(announce.torrent_id, announce.user_id) for announce in announces}
    torrents = {torrent_id for torrent_id, _ in pairs}
    users = {user_id for _, user_id in pairs}
    promotions = Promotions(_windows(db, torrents | users, min(a.received_at_us for a in announces)))
    return Tally(_clients(db, pairs), promotions, _deleted(db, torrents))


def _clients(db: Writer, pairs: Iterable[Pair]) -> dict[Key, Client]:
    torrents, users = zip(*pairs, strict=True)
    rows = db.rows(
        "SELECT uuid_send(torrent_id), uuid_send(user_id), peer_id, uploaded, downloaded, high_uploaded,"
        " high_downloaded, remaining, active, (extract(epoch FROM moved_at) * 1000000)::bigint,"
        " (extract(epoch FROM last_announced_at) * 1000000)::bigint,"
        " (extract(epoch FROM first_announced_at) * 1000000)::bigint, credited_uploaded, credited_downloaded,"
        " seed_time_s, (extract(epoch FROM seeded_until) * 1000000)::bigint, ipv4, port4, ipv6, port6"
        " FROM unnest(%s::uuid[], %s::uuid[]) AS announced (torrent_id, user_id)"
        " JOIN peer USING (torrent_id, user_id)",
        (_hex(torrents), _hex(users)),
    )
    return {row[:3]: Client(Session._make(row[3:11]), *row[11:]) for row in rows}


def _windows(db: Writer, subjects: Iterable[bytes], since_us: int) -> dict[bytes, list[Window]]:
    rows = db.rows(
        "SELECT uuid_send(subject_id), (extract(epoch FROM starts_at) * 1000000)::bigint,"
        " (extract(epoch FROM ends_at) * 1000000)::bigint FROM free_window WHERE subject_id = ANY(%s::uuid[])"
        " AND (ends_at IS NULL OR ends_at > timestamptz 'epoch' + %s * interval '1 microsecond')",
        (_hex(subjects), since_us),
    )
    windows: defaultdict[bytes, list[Window]] = defaultdict(list)
    for subject_id, start, end in rows:
        windows[subject_id].append((start, end))
    return windows


def _deleted(db: Writer, torrents: Iterable[bytes]) -> set[bytes]:
    rows = db.rows(
        "SELECT uuid_send(torrent_id) FROM deleted_torrent WHERE torrent_id = ANY(%s::uuid[])", (_hex(torrents),)
    )
    return {torrent_id for (torrent_id,) in rows}


def _write(db: Writer, position: int, edge_id: str, tally: Tally) -> None:
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
            *map(_hex, (torrents, users, peer_ids)),
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
            _hex(user),
            *map(_array, (seqs, ns)),
            *map(_hex, (torrent, peer)),
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
        (_hex(torrents), _hex(users), _array(candidates.values())),
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
        (_hex(users), *map(_bounded, sums), _array([snatched[user_id] for user_id in users])),
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
        (_hex(torrents), *map(_bounded, sums), _array([completed[torrent_id] for torrent_id in torrents])),
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


def _hex(values: Iterable[bytes]) -> str:
    """The text of an array of ids, or of bytes for `decode(…, 'hex')`."""
    return "{" + ",".join(map(bytes.hex, values)) + "}"


def _hex_or_null(values: Iterable[bytes | None]) -> str:
    return _words([None if value is None else value.hex() for value in values])


def _words(values: Iterable[str | None]) -> str:
    """The text of an array of plain words."""
    return "{" + ",".join([value or "NULL" for value in values]) + "}"
