"""The record of unregistered hashes: counted, bounded in memory and in the table, and written by several edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.conftest import as_user
from tracker_edge.unregistered import KEPT_PER_USER, NOTED_MAX, Noted, Unregistered, write

Owner = psycopg.Connection[Any]
ANN, BOB = UUID(int=1).bytes, UUID(int=2).bytes
NOW = datetime(2031, 1, 1, 12, 0, 0, 123457, tzinfo=UTC)
NOW_US = (NOW - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def hash_of(number: int) -> bytes:
    return number.to_bytes(20, "big")


def test_announces_are_counted_by_user_and_hash() -> None:
    record = Unregistered()
    for user, number, at in ((ANN, 1, 10), (BOB, 1, 20), (ANN, 1, 30), (ANN, 2, 40)):
        record.note(user, hash_of(number), at)
    assert record.take() == [
        Noted(BOB, hash_of(1), 1, 20, 20),
        Noted(ANN, hash_of(1), 2, 10, 30),
        Noted(ANN, hash_of(2), 1, 40, 40),
    ]
    assert record.take() == []


def test_only_the_newest_are_kept_in_memory() -> None:
    record = Unregistered()
    record.note(BOB, hash_of(0), 0)
    for number in range(NOTED_MAX - 1):
        record.note(ANN, hash_of(number), number)
    record.note(BOB, hash_of(0), NOTED_MAX)  # again: no longer the one noted longest ago
    record.note(ANN, hash_of(NOTED_MAX), NOTED_MAX)
    taken = record.take()
    assert len(taken) == NOTED_MAX
    assert Noted(BOB, hash_of(0), 2, 0, NOTED_MAX) in taken
    assert hash_of(0) not in {row.info_hash for row in taken if row.user_id == ANN}


def rows(owner: Owner) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT user_id, info_hash, announces, first_at, last_at FROM journal.unregistered_hash ORDER BY 1, 2"
    ).fetchall()


@pytest.fixture
def edge(database: str) -> Any:
    """A connection as an edge has it."""
    with psycopg.connect(as_user(database, "tracker_app"), autocommit=True) as connection:
        yield connection


@pytest.mark.engine
def test_what_two_edges_noted_is_added_up(edge: Owner, owner: Owner) -> None:
    write(edge, [Noted(ANN, hash_of(1), 2, NOW_US - 50, NOW_US - 10), Noted(BOB, hash_of(1), 1, NOW_US, NOW_US)], NOW)
    write(edge, [Noted(ANN, hash_of(1), 3, NOW_US - 40, NOW_US)], NOW)
    write(edge, [Noted(ANN, hash_of(1), 1, NOW_US - 90, NOW_US - 80)], NOW)
    early = NOW - timedelta(microseconds=90)
    assert rows(owner) == [
        (UUID(bytes=ANN), hash_of(1), 6, early, NOW),
        (UUID(bytes=BOB), hash_of(1), 1, NOW, NOW),
    ]


@pytest.mark.engine
def test_each_user_keeps_its_newest(edge: Owner, owner: Owner) -> None:
    write(edge, [Noted(ANN, hash_of(n), 1, NOW_US + n, NOW_US + n) for n in range(KEPT_PER_USER + 30)], NOW)
    write(edge, [Noted(BOB, hash_of(n), 1, NOW_US, NOW_US) for n in range(3)], NOW)
    kept = rows(owner)
    assert [row[1] for row in kept if row[0] == UUID(bytes=ANN)] == [hash_of(n) for n in range(30, KEPT_PER_USER + 30)]
    assert len(kept) == KEPT_PER_USER + 3


@pytest.mark.engine
def test_old_ones_are_forgotten_even_when_nothing_is_new(edge: Owner, owner: Owner) -> None:
    month_us = 30 * 86400 * 1_000_000
    old, young = Noted(ANN, hash_of(1), 1, 0, NOW_US - month_us - 1), Noted(BOB, hash_of(1), 1, 0, NOW_US - month_us)
    write(edge, [old, young], NOW - timedelta(days=1))
    assert len(rows(owner)) == 2
    write(edge, [], NOW)
    assert [row[0] for row in rows(owner)] == [UUID(bytes=BOB)]


@pytest.mark.engine
def test_a_write_does_not_wait_for_rows_that_it_would_only_forget(edge: Owner, owner: Owner) -> None:
    write(edge, [Noted(ANN, hash_of(1), 1, 0, 0)], NOW - timedelta(days=40000))
    edge.execute("SET lock_timeout = '2s'")
    with owner.transaction():
        owner.execute("SELECT FROM journal.unregistered_hash FOR UPDATE")
        write(edge, [Noted(BOB, hash_of(1), 1, NOW_US, NOW_US)], NOW)
    assert len(rows(owner)) == 2
    write(edge, [], NOW)
    assert [row[0] for row in rows(owner)] == [UUID(bytes=BOB)]
