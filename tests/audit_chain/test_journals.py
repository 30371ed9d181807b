"""The log names what edges recorded: journals are checked against it, wherever its events lie."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.announces import encode
from domain.base import SYSTEM
from domain.categories import Category
from runtime.append_only import changeable
from runtime.audit.chain import Tampered
from runtime.audit.verify import verify_journals
from runtime.event_archive import move
from runtime.journal import GENESIS, seal
from runtime.platform import Platform
from tests.audit_chain.sealed import Owner, sealed
from tests.given import Given
from tests.runtime.test_journal_archive import announced
from tests.runtime.test_partitions import SIZE, make_ahead
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine

FIRST = 60_000_000


def record(platform: Platform, edge_id: str) -> None:
    at = datetime.now(UTC)
    segment = seal(edge_id, 1, 1, at, at, GENESIS, encode([announced(1, at)]))
    into_store(lambda: platform.store(SYSTEM, "edge"))([segment])


@pytest.fixture
def quiet(platform: Platform, owner: Owner) -> Platform:
    """What `north` and `south` recorded is archived; `east` goes on."""
    owner.execute(f"SELECT setval('es.position', {FIRST - 1}), es.cover_events({FIRST}, {FIRST}, {SIZE})".encode())
    record(platform, "north")
    record(platform, "south")
    for number in range(SIZE):
        make_ahead(owner)
        Given(platform).aggregates(Category.define(f"kind-{number}", "Kind", None, number))
    record(platform, "east")
    sealed(platform)
    with platform.projector_pool.connection() as connection:
        moved = [
            move.archive(connection, platform.settings.data_dir / "archive", one) for one in move.closed(connection)
        ]
    assert [piece.events for piece in moved if piece] == [SIZE]
    return platform


def test_an_edge_that_has_long_been_silent_is_no_flaw(quiet: Platform, owner: Owner) -> None:
    verify_journals(owner, quiet.history.archive)


@pytest.mark.parametrize(
    ("change", "says", "position"),
    [
        ("DELETE FROM journal.segment WHERE edge_id = 'south'", "segment 1 of south", FIRST + 1),
        ("DELETE FROM journal.segment WHERE edge_id = 'east'", "segment 1 of east", FIRST + SIZE + 2),
        ("UPDATE journal.head SET seq = 2 WHERE edge_id = 'north'", "no event names segment 2 of north", None),
        ("UPDATE journal.head SET seq = 2 WHERE edge_id = 'east'", "no event names segment 2 of east", None),
    ],
)
def test_a_journal_that_is_not_what_archived_events_name_is_found(
    quiet: Platform, owner: Owner, change: str, says: str, position: int | None
) -> None:
    with owner.transaction(), changeable(owner, "journal.segment"):
        owner.execute(change.encode())
    with pytest.raises(Tampered, match=says) as found:
        verify_journals(owner, quiet.history.archive)
    assert found.value.position == position
