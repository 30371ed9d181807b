"""What the lists and details of torrents are made from: facts in, rows out, and the same rows again."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from domain.factors import Factors
from domain.torrents import Torrent
from projections.search import search
from projections.torrents import torrents
from runtime.migrate import migrate, rollback
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from tests.given import Given, projected, rows_of
from tests.torrents.uploads import upload

pytestmark = pytest.mark.engine

STAFF = UUID(int=8)


def column(platform: Platform, name: str) -> list[Any]:
    """One column of both torrents, the older first."""
    return [row[0] for row in rows_of(platform, f"SELECT {name} FROM read.torrent ORDER BY torrent_id")]


@pytest.fixture
def two(given: Given) -> tuple[Torrent, Torrent]:
    """Two uploads that nobody has decided about."""
    first, second = upload(1), upload(2, tags=["comedy", "drama"], anonymous=True, size=5000)
    given.aggregates(first, second)
    projected(given.platform, torrents, search)
    return first, second


def test_an_upload_waits_with_its_files_and_tags(platform: Platform, two: tuple[Torrent, Torrent]) -> None:
    assert column(platform, "state") == ["pending", "pending"]
    assert column(platform, "size") == [1000, 5000]
    assert column(platform, "anonymous") == [False, True]
    files = rows_of(platform, "SELECT n, path, length FROM read.torrent_file ORDER BY torrent_id, n")
    assert files == [(1, "a.bin", 999), (2, "b/c.bin", 1), (1, "a.bin", 4999), (2, "b/c.bin", 1)]
    tags = rows_of(platform, "SELECT tag FROM read.torrent_tag ORDER BY torrent_id, tag")
    assert tags == [("drama",), ("comedy",), ("drama",)]


def test_approval_lists_a_torrent_as_new(platform: Platform, given: Given, two: tuple[Torrent, Torrent]) -> None:
    first, _ = two
    first.approve(STAFF)
    given.aggregates(first)
    projected(platform, torrents)
    assert column(platform, "state") == ["approved", "pending"]
    assert column(platform, "listed_at > uploaded_at") == [True, False]
    assert column(platform, "version") == [2, 1]


def test_rejection_and_deletion_keep_their_reason(
    platform: Platform, given: Given, two: tuple[Torrent, Torrent]
) -> None:
    first, second = two
    first.reject("wrong category")
    second.delete("a copy", by=STAFF, staff=True, now=second.created_on)
    given.aggregates(first, second)
    projected(platform, torrents)
    assert column(platform, "state") == ["rejected", "deleted"]
    assert column(platform, "reason") == ["wrong category", "a copy"]


def test_approval_forgets_the_reason(platform: Platform, given: Given, two: tuple[Torrent, Torrent]) -> None:
    first, second = two
    first.reject("wrong category")
    second.reject("no")
    first.approve(STAFF)
    given.aggregates(first, second)
    projected(platform, torrents)
    assert column(platform, "reason") == [None, "no"]


def test_freeleech_opens_and_closes(platform: Platform, given: Given, two: tuple[Torrent, Torrent]) -> None:
    first, second = two
    until = first.created_on + timedelta(days=1)
    for one in two:
        one.grant_freeleech(until, now=one.created_on)
    first.end_freeleech(now=first.created_on)
    given.aggregates(first, second)
    projected(platform, torrents)
    assert column(platform, "free_until") == [None, until]


def test_the_newest_promotion_is_shown(platform: Platform, given: Given, two: tuple[Torrent, Torrent]) -> None:
    first, second = two
    until = first.created_on + timedelta(days=1)
    for one in two:
        one.grant_freeleech(until, now=one.created_on)
        one.promote(Factors(200, 30), None, now=one.created_on)
    second.grant_freeleech(until, now=second.created_on)
    given.aggregates(first)
    position = given.aggregates(second)
    projected(platform, torrents, search)
    assert [column(platform, name) for name in ("upload_percent", "download_percent")] == [[200, 100], [30, 0]]
    assert [column(platform, name) for name in ("promoted_until", "free_until")] == [[None, until]] * 2
    changes = rows_of(platform, "SELECT position FROM read.search_change ORDER BY position DESC")
    assert changes == [(position,), (position - 3,)]


def test_freeleech_from_before_the_migration_is_kept(
    platform: Platform, given: Given, two: tuple[Torrent, Torrent], database: str
) -> None:
    for one in two:
        one.grant_freeleech(one.created_on + timedelta(days=1), now=one.created_on)
    two[0].end_freeleech(now=two[0].created_on)
    given.aggregates(*two)
    projected(platform, torrents)
    later = [path.name for path in files("migrations").iterdir() if path.name >= "0018" and "rollback" in path.name]
    assert rollback(database, len(later)) == migrate(database) == len(later)
    assert column(platform, "download_percent") == [100, 0]
    assert {check.differences for check in verify(platform, torrents)} == {0}


def test_the_search_hears_of_each_torrents_last_change(
    platform: Platform, given: Given, two: tuple[Torrent, Torrent]
) -> None:
    first, _ = two
    first.approve(STAFF)
    position = given.aggregates(first)
    projected(platform, search)
    changes = rows_of(platform, "SELECT torrent_id, position FROM read.search_change ORDER BY position DESC")
    assert len(changes) == 2
    assert changes[0] == (first.id, position)


def test_rebuilt_tables_equal_the_live_ones(platform: Platform, given: Given, two: tuple[Torrent, Torrent]) -> None:
    first, second = two
    first.approve(STAFF)
    second.reject("no")
    given.aggregates(first, second)
    for projection in (torrents, search):
        projected(platform, projection)
        for _ in range(2):
            checks = verify(platform, projection)
            assert {check.table for check in checks} == set(projection.tables)
            assert all(check.rows >= 2 and check.differences == 0 for check in checks)
            rebuild(platform, projection)
