"""Warnings of two users as they are shown, from events, and built again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.warnings import Warnings, warnings_id
from projections.warnings import warnings
from queries.warnings import due_warnings
from runtime.rebuild import verify
from tests.given import ACTOR, NOON, Given, event, projected, rows_of

ALICE, BOB = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2))
FIRST, SECOND, CASE = (UUID(f"0199a4f0-0000-7000-8000-00000000001{n}") for n in (1, 2, 3))
LATER = NOON + timedelta(hours=1)

pytestmark = pytest.mark.engine


def given_to(user_id: UUID, warning_id: UUID, version: int = 2, **fields: Any) -> list[Any]:
    stream, rest = warnings_id(user_id), {"reason": "rude", "until": LATER, "case_id": None} | fields
    opened = [event(Warnings.Opened, stream, user_id=user_id)] if version == 2 else []
    return [*opened, event(Warnings.Given, stream, version, user_id=user_id, warning_id=warning_id, **rest)]


@pytest.fixture
def two(given: Given) -> Given:
    given.facts(*given_to(ALICE, FIRST, case_id=CASE), *given_to(BOB, SECOND, reason="loud"))
    return given


def shown(given: Given, *columns: str) -> list[tuple[Any, ...]]:
    projected(given.platform, warnings)
    return rows_of(given.platform, f"SELECT {', '.join(columns)} FROM read.warning ORDER BY warning_id")


def test_a_warning_is_shown(two: Given) -> None:
    assert shown(two, "user_id", "state", "reason", "case_id", "given_by", "given_at", "until", "ended_at") == [
        (ALICE, "active", "rude", CASE, ACTOR, NOON, LATER, None),
        (BOB, "active", "loud", None, ACTOR, NOON, LATER, None),
    ]


def test_a_warning_that_ended_says_how(two: Given) -> None:
    two.facts(
        event(Warnings.Lifted, warnings_id(ALICE), 3, LATER, user_id=ALICE, warning_id=FIRST, reason="sorry"),
        event(Warnings.Expired, warnings_id(BOB), 3, LATER, user_id=BOB, warning_id=SECOND),
    )
    assert shown(two, "state", "lift_reason", "ended_by", "ended_at") == [
        ("lifted", "sorry", ACTOR, LATER),
        ("expired", None, None, LATER),
    ]


def test_those_are_due_whose_time_is_over_and_whose_end_is_not_on_record(two: Given) -> None:
    two.facts(*given_to(BOB, UUID(int=9), 3, until=LATER + timedelta(hours=1)))
    projected(two.platform, warnings)

    def due(after: timedelta, limit: int = 9) -> set[tuple[UUID, UUID]]:
        with two.platform.pool.connection() as connection:
            return set(due_warnings(connection, LATER + after, limit))

    assert due(-timedelta(seconds=1)) == set()
    assert due(timedelta()) == {(ALICE, FIRST), (BOB, SECOND)}
    assert len(due(timedelta(), limit=1)) == 1
    two.facts(event(Warnings.Expired, warnings_id(BOB), 4, LATER, user_id=BOB, warning_id=SECOND))
    projected(two.platform, warnings)
    assert due(timedelta()) == {(ALICE, FIRST)}


def test_running_twice_and_rebuilding_give_the_same_table(two: Given) -> None:
    two.facts(event(Warnings.Lifted, warnings_id(ALICE), 3, user_id=ALICE, warning_id=FIRST, reason="r"))
    for _ in range(2):
        projected(two.platform, warnings)
    assert [(t.table, t.rows, t.differences) for t in verify(two.platform, warnings)] == [("warning", 2, 0)]
