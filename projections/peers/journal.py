"""Segments of the announce journal, settled: sessions, transfers, statistics, snatches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from domain.announces import Announce, decode
from domain.erasures import Erasure
from domain.errors import Conflict
from domain.peers import EdgeJournal
from domain.tally import Tally
from domain.torrents import Torrent
from projections.peers import rows, sums, windows
from projections.peers.binary import Place
from projections.peers.projection import peers
from runtime.db import Writer
from runtime.facts import Fact
from runtime.journal import COLUMNS, BrokenChain, Head, Segment, verify

#: What is settled at once ends with the segment that reaches this: the more, the fewer rows of users and torrents are
#: written per announce; it takes 2 KB of memory each, and two seconds, in which nobody sees any of it.
ANNOUNCES_AT_ONCE = 40_000


class SegmentsArchived(Conflict):
    """The segments of a fact lie in files, where no projection reads."""


@peers.on_batch(EdgeJournal.SegmentsRecorded, at_once=ANNOUNCES_AT_ONCE, size=lambda event: event.announces)
def segments_recorded(facts: Sequence[Fact[EdgeJournal.SegmentsRecorded]], db: Writer) -> None:
    rows.prepare(db)
    heads: dict[str, Head | None] = {}
    for portion in _portions(_read(db, facts, heads)):
        records = [decode(segment.payload, db.keys) for _, segment in portion]
        tally, row_places = _tally(db, [announce for some in records for announce in some])
        for number, some in enumerate(records):
            tally.add(number, some)
        tally.close()
        places = [Place(position, segment.edge_id, segment.seq) for position, segment in portion]
        rows.write(db, places, tally, row_places)
    for head in filter(None, heads.values()):
        db.execute(
            "INSERT INTO projected_segment (edge_id, seq, sha256) VALUES (%s, %s, %s)"
            " ON CONFLICT (edge_id) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256",
            (head.edge_id, head.seq, head.sha256),
        )


@peers.on(Torrent.Uploaded)
def torrent_uploaded(fact: Fact[Torrent.Uploaded], db: Writer) -> None:
    """What a seeder of the torrent keeps alive is weighed by this."""
    db.execute("INSERT INTO torrent_size (torrent_id, size) VALUES (%s, %s)", (fact.stream_id, fact.event.size))


@peers.on(Torrent.Deleted)
def torrent_deleted(fact: Fact[Torrent.Deleted], db: Writer) -> None:
    """The swarm is gone at once; what it earned stays."""
    db.execute("INSERT INTO deleted_torrent (torrent_id) VALUES (%s)", (fact.stream_id,))
    swarm = db.rows("SELECT seeders, leechers FROM torrent_stats WHERE torrent_id = %s", (fact.stream_id,))
    for seeders, leechers in swarm:
        sums.change_swarm(db, -seeders, -leechers)
    period = sums.USER_HISTORY.reach(db, fact.at).period(fact.at)
    db.execute(
        "WITH gone AS (UPDATE peer SET active = false, ipv4 = NULL, port4 = NULL, ipv6 = NULL, port6 = NULL"
        "  WHERE torrent_id = %s AND active RETURNING user_id, torrent_id, seeder),"
        " gone_user AS (SELECT user_id, bool_or(seeder)::int AS seeding, bool_or(NOT seeder)::int AS leeching,"
        "  coalesce(max(size) FILTER (WHERE seeder), 0) AS seed_size"
        "  FROM gone LEFT JOIN torrent_size USING (torrent_id) GROUP BY user_id),"
        " fewer AS (UPDATE user_stats u SET seeding = u.seeding - g.seeding, leeching = u.leeching - g.leeching,"
        "  seed_size = u.seed_size - g.seed_size FROM gone_user g WHERE g.user_id = u.user_id)"
        f" {sums.USER_HISTORY.add} SELECT user_id, %s, %s, 0, 0, 0, -seeding, -leeching, -seed_size, 0, 0"
        f" FROM gone_user {sums.USER_HISTORY.merged}",
        (fact.stream_id, *period),
    )
    db.execute("UPDATE torrent_stats SET seeders = 0, leechers = 0 WHERE torrent_id = %s", (fact.stream_id,))


@peers.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    """What the person moved stays; from where goes."""
    db.execute(
        "UPDATE peer SET ipv4 = NULL, port4 = NULL, ipv6 = NULL, port6 = NULL WHERE user_id = %s",
        (fact.event.user_id,),
    )


def _head(db: Writer, edge_id: str) -> Head | None:
    found = db.rows("SELECT edge_id, seq, sha256 FROM projected_segment WHERE edge_id = %s", (edge_id,))
    return Head(*found[0]) if found else None


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
    found = db.rows(
        f"SELECT {COLUMNS} FROM journal.segment WHERE edge_id = %s AND seq BETWEEN %s AND %s ORDER BY seq",
        (event.edge_id, event.first_seq, event.last_seq),
    )
    return (Segment(*row) for row in found)


def _read(
    db: Writer, facts: Iterable[Fact[EdgeJournal.SegmentsRecorded]], heads: dict[str, Head | None]
) -> Iterator[tuple[int, Segment]]:
    """Each segment with the position of its fact, in order; `heads` follows the end of each edge's chain."""
    for fact in facts:
        event, edge_id = fact.event, fact.event.edge_id
        _refuse_archived(db, event)
        if edge_id not in heads:
            heads[edge_id] = _head(db, edge_id)
        for segment in _segments(db, event):
            heads[edge_id] = verify([segment], heads[edge_id])
            yield fact.position, segment
        head = heads[edge_id]
        if head is None or (head.seq, head.sha256.hex()) != (event.last_seq, event.sha256):
            raise BrokenChain(f"the journal of {edge_id} does not end as the fact at {fact.position} says")


def _portions(segments: Iterable[tuple[int, Segment]]) -> Iterator[list[tuple[int, Segment]]]:
    portion: list[tuple[int, Segment]] = []
    announces = 0
    for position, segment in segments:
        portion.append((position, segment))
        announces += segment.announces
        if announces >= ANNOUNCES_AT_ONCE:
            yield portion
            portion, announces = [], 0
    if portion:
        yield portion


def _tally(db: Writer, announces: Sequence[Announce]) -> tuple[Tally, rows.RowPlaces]:
    """A tally that knows all that there is to know of these announces' users and torrents; where clients' rows are."""
    pairs = {(announce.torrent_id, announce.user_id) for announce in announces}
    clients, row_places = rows.clients(db, pairs)
    deleted = rows.deleted(db, {torrent_id for torrent_id, _ in pairs})
    return Tally(clients, windows.promotions(db, announces), deleted), row_places
