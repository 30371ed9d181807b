"""Segments of the announce journal, settled: sessions, transfers, statistics, snatches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.erasures import Erasure
from domain.errors import Conflict
from domain.peers import EdgeJournal
from domain.torrents import Torrent
from projections.peers import rows, sums, windows
from projections.peers.batch import ANNOUNCES_AT_ONCE, Batch
from projections.peers.projection import peers
from runtime.db import Writer
from runtime.facts import AnyCaused, Caused, Fact
from runtime.journal import COLUMNS, BrokenChain, Head, Segment, verify
from runtime.rollup import come


class SegmentsArchived(Conflict):
    """The segments of a fact lie in files, where no projection reads."""


@peers.on_batch(
    EdgeJournal.SegmentsRecorded,
    at_once=ANNOUNCES_AT_ONCE,
    size=lambda event: event.announces,
    amid=(Torrent.Uploaded, Torrent.Deleted, *windows.KINDS),
)
def segments_recorded(facts: Sequence[AnyCaused], db: Writer) -> None:
    """Facts that open and end windows lie among the segments and cut them short nearly each time. They write what
    announces only look up: so these look it up before, and are settled together with later ones all the same. An upload
    or a deletion is an affair of announces of its torrent, if there are any so far, and of how many peers all are."""
    rows.prepare(db)
    heads: dict[str, Head | None] = {}
    batch = Batch(db)
    for fact in facts:
        if isinstance(fact.event, EdgeJournal.SegmentsRecorded):
            for segment in _read(db, fact, heads):
                batch.add(fact, segment)
            continue
        if not isinstance(fact.event, Torrent.Uploaded | Torrent.Deleted):
            batch.promise()
        elif batch.holds(fact.stream_id):  # its size, or that it is gone, counts for later announces
            batch.settle()
        if isinstance(fact.event, Torrent.Deleted):
            batch.shrink(*_delete(fact, db))
        else:
            peers.apply([fact], db)
    batch.settle()
    for head in filter(None, heads.values()):
        db.execute(
            "INSERT INTO projected_segment (edge_id, seq, sha256) VALUES (%s, %s, %s)"
            " ON CONFLICT (edge_id) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256",
            (head.edge_id, head.seq, head.sha256),
        )


@peers.foresee
def last_hour(last: Sequence[AnyCaused], db: Writer) -> None:
    """Users' past goes on at least until the last segments: what will be days and months then is never written by the
    hour."""
    for fact in reversed(last):
        if isinstance(fact.event, EdgeJournal.SegmentsRecorded):
            moments = [come(segment.last_at, fact.recorded_at) for segment in _segments(db, fact.event)]
            if moments:
                sums.USER_HISTORY.foresee(db, max(moments))
                return


@peers.on(Torrent.Uploaded)
def torrent_uploaded(fact: Fact[Torrent.Uploaded], db: Writer) -> None:
    """What a seeder of the torrent keeps alive is weighed by this."""
    db.execute("INSERT INTO torrent_size (torrent_id, size) VALUES (%s, %s)", (fact.stream_id, fact.event.size))


@peers.on(Torrent.Deleted)
def torrent_deleted(fact: Caused[Torrent.Deleted], db: Writer) -> None:
    """The swarm is gone at once; what it earned stays."""
    sums.shrink_swarm(db, *_delete(fact, db))


def _delete(fact: Caused[Torrent.Deleted], db: Writer) -> tuple[int, int]:
    """Returns how many seeders and leechers that are, which the numbers of all torrents together still count."""
    db.execute("INSERT INTO deleted_torrent (torrent_id) VALUES (%s)", (fact.stream_id,))
    swarm = db.rows("SELECT seeders, leechers FROM torrent_stats WHERE torrent_id = %s", (fact.stream_id,))
    period = sums.USER_HISTORY.reach(db, come(fact.at, fact.recorded_at)).period(fact.at)
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
    return swarm[0] if swarm else (0, 0)


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


def _read(db: Writer, fact: Fact[EdgeJournal.SegmentsRecorded], heads: dict[str, Head | None]) -> Iterator[Segment]:
    """The segments of a fact in order; `heads` follows the end of each edge's chain."""
    event, edge_id = fact.event, fact.event.edge_id
    _refuse_archived(db, event)
    if edge_id not in heads:
        heads[edge_id] = _head(db, edge_id)
    for segment in _segments(db, event):
        heads[edge_id] = verify([segment], heads[edge_id])
        yield segment
    head = heads[edge_id]
    if head is None or (head.seq, head.sha256.hex()) != (event.last_seq, event.sha256):
        raise BrokenChain(f"the journal of {edge_id} does not end as the fact at {fact.position} says")
