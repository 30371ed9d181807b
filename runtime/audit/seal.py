"""The sealer: events that nobody can come before any more become a block, every minute or every thousand of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.audit.block import GENESIS, RECORD, Block, records
from runtime.audit.merkle import Frontier, root
from runtime.audit.stored import BEGINNING, BLOCK, Nodes, last_block
from runtime.audit.stored import records as read_records
from runtime.telemetry import LOG_UNSEALED

#: A block is sealed when it has so many events, or when its first one has waited for so long.
EVENTS_PER_BLOCK = 1000
SEAL_AFTER = timedelta(seconds=60)
#: Of one transaction: a log that grew long without a sealer is worked through in pieces.
BLOCKS_AT_ONCE = 50
#: Lets one sealer work at a time: first half of an advisory lock.
LOCK_CLASS = 7933

#: The position that no event can come before any more, and whether the first one that is not sealed has waited.
_DUE = """
SELECT es.safe_position(), (SELECT e.recorded_at FROM es.event e WHERE e.position > %s ORDER BY e.position LIMIT 1)
  <= clock_timestamp() - %s::interval
"""

_UNSEALED = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - (SELECT recorded_at FROM es.event WHERE position >
  coalesce((SELECT last_position FROM es.block ORDER BY no DESC LIMIT 1), -1) ORDER BY position LIMIT 1)), 0)::float8
"""

log = structlog.get_logger()


def seal(
    pool: ConnectionPool[Connection[Any]],
    key: Ed25519PrivateKey,
    *,
    after: timedelta = SEAL_AFTER,
    at_most: int = EVENTS_PER_BLOCK,
) -> int:
    """Seals what is due; returns how many blocks that were. With `after` 0 everything is."""
    _tell_unsealed(pool)
    sealed = 0
    while True:
        with pool.connection() as connection, connection.transaction():
            found = _seal(connection, key, after, at_most)
        sealed += len(found)
        if found:  # the log of the process is a place outside of the database that knows the head
            log.info("log_sealed", head=found[-1].no, position=found[-1].last_position, tree=found[-1].tree.hex())
        if len(found) < BLOCKS_AT_ONCE:
            return sealed


def _tell_unsealed(pool: ConnectionPool[Connection[Any]]) -> None:
    """First of all: whatever keeps the log from being sealed, somebody should hear how long it does."""
    with pool.connection() as connection:
        row = connection.execute(_UNSEALED).fetchone()
    assert row is not None
    LOG_UNSEALED.set(max(0.0, row[0]))


def _seal(connection: Connection[Any], key: Ed25519PrivateKey, after: timedelta, at_most: int) -> list[Block]:
    if connection.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", (LOCK_CLASS,)).fetchone() != (True,):
        return []
    last, sealed = last_block(connection), list[Block]()
    row = connection.execute(_DUE, (last.last_position if last else BEGINNING, after)).fetchone()
    assert row is not None
    safe, due = row
    frontier = Frontier(last.no if last else 0, Nodes(connection))
    while len(sealed) < BLOCKS_AT_ONCE:
        leaves = read_records(connection, last.last_position if last else BEGINNING, safe, at_most)
        if not leaves or (len(leaves) < at_most * RECORD.size and not due):
            break
        last = _append(connection, key, frontier, last, leaves)
        sealed.append(last)
    return sealed


def _append(
    connection: Connection[Any], key: Ed25519PrivateKey, frontier: Frontier, last: Block | None, leaves: bytes
) -> Block:
    block, nodes = make_block(frontier, last, leaves, datetime.now(UTC), key)
    values = (getattr(block, name) for name in Block.__slots__)
    connection.execute(
        f"INSERT INTO es.block ({BLOCK}, nodes, leaves) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*values, b"".join(nodes), leaves),
    )
    return block


def make_block(
    frontier: Frontier, last: Block | None, leaves: bytes, at: datetime, key: Ed25519PrivateKey
) -> tuple[Block, list[bytes]]:
    """The signed block of these records, which follows `last`, and the nodes that it completes in the tree."""
    events = len(leaves) // RECORD.size
    block = Block(
        no=last.no + 1 if last else 1,
        first_position=RECORD.unpack_from(leaves)[0],
        last_position=RECORD.unpack_from(leaves, len(leaves) - RECORD.size)[0],
        events=events,
        total=(last.total if last else 0) + events,
        root=root([leaf for _, leaf in records(leaves)]),
        previous=last.hash if last else GENESIS,
        tree=b"",
        sealed_at=at,
    )
    nodes = frontier.append(block.hash)
    block = replace(block, tree=frontier.root)
    return replace(block, signature=key.sign(block.statement)), nodes
