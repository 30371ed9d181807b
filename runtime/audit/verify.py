"""Whether the log is what was sealed: every event, every block, every signature, and the journals that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, LiteralString, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg import Connection
from psycopg.rows import class_row

from runtime.audit.block import BadSignature, Block, records
from runtime.audit.chain import Chain, Tampered
from runtime.audit.merkle import root
from runtime.audit.redactions import Undeclared, check_all
from runtime.audit.stored import BEGINNING, BLOCK, last_block
from runtime.audit.stored import records as read_records
from runtime.event_archive.archive import EventArchive, pieces
from runtime.event_archive.rows import ArchivedEvent, read

#: Blocks that one statement compares.
BLOCKS_AT_ONCE = 50

#: Position, edge, segment and hash of each event of the table that names a segment.
_IN_TABLE: LiteralString = """
SELECT e.position, d ->> 'edge_id' AS edge_id, (d ->> 'last_seq')::bigint AS seq, decode(d ->> 'sha256', 'hex') AS sha
FROM es.event e JOIN es.event_type t ON t.id = e.type, LATERAL (SELECT convert_from(e.data, 'UTF8')::jsonb AS d) AS j
WHERE t.name = %(topic)s
"""
#: The same of events that lie in files.
_IN_FILES: LiteralString = """
SELECT * FROM unnest(%(positions)s::bigint[], %(edges)s::text[], %(seqs)s::bigint[], %(shas)s::bytea[])
  AS n (position, edge_id, seq, sha)
"""
#: Those whose segment is not what lies in the journal, in a table or, by the end of its day, in a file.
_WRONG: LiteralString = """
SELECT n.position, 'its segment ' || n.seq || ' of ' || n.edge_id || ' is not what the journal has' FROM named n
WHERE NOT EXISTS (SELECT FROM journal.segment s WHERE (s.edge_id, s.seq, s.sha256) = (n.edge_id, n.seq, n.sha))
  AND NOT EXISTS (SELECT FROM journal.archived_day a WHERE a.edge_id = n.edge_id
    AND n.seq BETWEEN a.first_seq AND a.last_seq AND (n.seq < a.last_seq OR n.sha = a.last_sha256))
"""
#: Edges whose journals go on behind what the log knows of them.
_BEYOND: LiteralString = """
SELECT NULL, 'no event names segment ' || h.seq || ' of ' || h.edge_id FROM journal.head h
WHERE NOT EXISTS (SELECT FROM named n WHERE (n.edge_id, n.seq, n.sha) = (h.edge_id, h.seq, h.sha256))
"""
_FIRST: LiteralString = " ORDER BY 1 LIMIT 1"
_TOPIC = "edge_journal.segments_recorded"
_ENCRYPTED = "edge_journal.addresses_encrypted"
#: Archived events that are looked at together.
_AT_ONCE = 10_000


@dataclass(frozen=True)
class Verified:
    """What was found to be as it was sealed. `unsealed` events came after the last block."""

    blocks: int
    events: int
    unsealed: int
    redacted: int
    head: Block | None


@dataclass(frozen=True)
class _Sealed:
    block: Block
    nodes: bytes
    leaves: bytes


class _Named(NamedTuple):
    """A segment that an event names."""

    position: int
    edge_id: str
    seq: int
    sha256: bytes

    @classmethod
    def of(cls, one: ArchivedEvent) -> _Named:
        said = json.loads(one.data)
        return cls(one.position, said["edge_id"], said["last_seq"], bytes.fromhex(said["sha256"]))


def verify(
    connection: Connection[Any],
    key: Ed25519PublicKey,
    known: Sequence[Block] = (),
    archive: EventArchive | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """Compares the whole log with the chain; `known` are heads that somebody kept, which it has to go on from.

    `archive` has what lies in files. Raises `Tampered` at the first place that differs, `ArchiveBroken`.
    """
    try:
        redacted = check_all(connection, key)
    except Undeclared as error:
        raise Tampered(error.position, str(error)) from None
    end, chain, before = last_block(connection), Chain(key), BEGINNING
    for page in _pages(connection):
        for sealed in page:
            _check_block(sealed, chain)
        upto = page[-1].block.last_position
        _compare(read_records(connection, before, upto, archive=archive), b"".join(sealed.leaves for sealed in page))
        before = upto
        progress(chain.total, end.total if end else chain.total)
    _check_known(connection, known, key)
    row = connection.execute("SELECT count(*) FROM es.event WHERE position > %s", (before,)).fetchone()
    assert row is not None
    return Verified(chain.last.no if chain.last else 0, chain.total, row[0], redacted, chain.last)


def verify_journals(connection: Connection[Any], archive: EventArchive | None = None) -> None:
    """Compares the segments' hashes in the log with the journal; `archive` is as for `verify`. Raises `Tampered`."""
    with connection.transaction():
        connection.execute("LOCK TABLE es.event IN ACCESS SHARE MODE")  # no event moves meanwhile
        ends = dict[str, _Named]()
        for some in _named(connection, archive, _TOPIC) if archive else ():
            _refuse(connection, f"WITH named AS ({_IN_FILES}) {_WRONG} {_FIRST}", some)
            ends.update((one.edge_id, one) for one in some)
        named: LiteralString = f"WITH named AS ({_IN_TABLE})"
        _refuse(connection, f"{named} {_WRONG} {_FIRST}", [])
        both: LiteralString = f"WITH named AS ({_IN_TABLE} UNION ALL {_IN_FILES})"
        _refuse(connection, f"{both} {_BEYOND} {_FIRST}", list(ends.values()))
        _check_encrypted(connection, archive)


def _refuse(connection: Connection[Any], query: LiteralString, named: Sequence[_Named]) -> None:
    """Raises `Tampered` with what the query finds."""
    columns = {"positions": 0, "edges": 1, "seqs": 2, "shas": 3}
    params = {name: [one[at] for one in named] for name, at in columns.items()}
    row = connection.execute(query, {**params, "topic": _TOPIC}).fetchone()
    if row is not None:
        raise Tampered(*row)


def _check_encrypted(connection: Connection[Any], archive: EventArchive | None) -> None:
    """Every replacement of segments is one that an event tells of."""
    rows = connection.execute(_IN_TABLE, {"topic": _ENCRYPTED}).fetchall()
    told = {(edge_id, last, of_all) for _, edge_id, last, of_all in rows}
    for some in _named(connection, archive, _ENCRYPTED) if archive else ():
        told |= {(one.edge_id, one.seq, one.sha256) for one in some}
    held = connection.execute("SELECT edge_id, first_seq, last_seq, sha256 FROM journal.encrypted ORDER BY 1, 2")
    for edge_id, first, last, of_all in held.fetchall():
        if (edge_id, last, of_all) not in told:
            raise Tampered(None, f"no event tells that segments {first} to {last} of {edge_id} were encrypted")


def _named(connection: Connection[Any], archive: EventArchive, topic: str) -> Iterator[list[_Named]]:
    """What archived events of the topic name, in order, some at a time."""
    held = pieces(connection)
    rows = archive.rows(connection, -1, held[-1].last_position) if held else iter(())
    found = (_Named.of(one) for one in map(read, rows) if one.topic == topic)
    while some := list(islice(found, _AT_ONCE)):
        yield some


def _pages(connection: Connection[Any]) -> Iterator[list[_Sealed]]:
    after = 0
    while True:
        rows = connection.execute(
            f"SELECT {BLOCK}, nodes, leaves FROM es.block WHERE no > %s ORDER BY no LIMIT %s",
            (after, BLOCKS_AT_ONCE),
            binary=True,
        ).fetchall()
        if not rows:
            return
        yield [_Sealed(Block(*row[:-2]), row[-2], row[-1]) for row in rows]
        after = rows[-1][0]


def _check_block(sealed: _Sealed, chain: Chain) -> None:
    """The block follows the one before it and is the hash of its leaves."""
    block, before = sealed.block, chain.last
    position = before.last_position + 1 if before else block.first_position
    if b"".join(chain.take(block)) != sealed.nodes:
        raise Tampered(position, f"block {block.no} has other nodes than the tree")
    leaves = list(records(sealed.leaves))
    ends = leaves[0][0], leaves[-1][0], len(leaves)
    whole = ends == (block.first_position, block.last_position, block.events)
    if not whole or root([leaf for _, leaf in leaves]) != block.root:
        raise Tampered(position, f"block {block.no} is not made of its leaves")


def _compare(found: bytes, sealed: bytes) -> None:
    if found == sealed:
        return
    there, wanted = [*records(found), (None, b"")], [*records(sealed), (None, b"")]
    (position, _), (place, _) = next(pair for pair in zip(there, wanted, strict=False) if pair[0] != pair[1])
    if position == place:
        raise Tampered(position, "the event was changed")
    if place is None or (position is not None and position < place):
        raise Tampered(position, "the event was not there when the log was sealed")
    raise Tampered(place, "the event is missing")


def _check_known(connection: Connection[Any], known: Iterable[Block], key: Ed25519PublicKey) -> None:
    """The chain has every head that somebody kept: a log that was cut off and sealed anew has another one."""
    for head in known:
        try:
            head.check_signature(key)
        except BadSignature:
            raise Tampered(None, f"the kept head {head.no} was not signed by this site") from None
        with connection.cursor(row_factory=class_row(Block)) as cursor:
            found = cursor.execute(f"SELECT {BLOCK} FROM es.block WHERE no = %s", (head.no,)).fetchone()
        if found is None or found.tree != head.tree:
            raise Tampered(None, f"the log does not go on from the kept head {head.no}")
