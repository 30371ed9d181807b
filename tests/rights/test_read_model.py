"""Rights of two users, built from their events, and built again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.rights import Rights, rights_id
from projections.rights import rights
from queries.rights import due_rights
from runtime.rebuild import verify
from tests.given import ACTOR, NOON, Given, event, projected, rows_of

pytestmark = pytest.mark.engine

ADA = UUID("0199a4f0-0000-7000-8000-000000000001")
BOB = UUID("0199a4f0-0000-7000-8000-000000000002")
LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def opened(given: Given) -> None:
    for user in (ADA, BOB):
        change(given, Rights.Opened, user, 1)


def change(given: Given, kind: type[Any], user_id: UUID, version: int, **fields: Any) -> int:
    return given.facts(event(kind, rights_id(user_id), version, user_id=user_id, **fields))


def exceptions(given: Given) -> list[tuple[Any, ...]]:
    projected(given.platform, rights)
    return rows_of(
        given.platform,
        "SELECT user_id, permission, granted, reason, until, given_by, given_at, changed_pos"
        " FROM read.permission_exception ORDER BY user_id, permission",
    )


def test_exceptions_come_change_and_go_for_one_user(given: Given) -> None:
    said: dict[str, Any] = {"permission": "a.b", "reason": "r", "until": LATER}
    first = change(given, Rights.PermissionGranted, ADA, 2, **said)
    second = change(given, Rights.PermissionDenied, BOB, 2, **said)
    assert exceptions(given) == [
        (ADA, "a.b", True, "r", LATER, ACTOR, NOON, first),
        (BOB, "a.b", False, "r", LATER, ACTOR, NOON, second),
    ]
    third = change(given, Rights.PermissionDenied, ADA, 3, permission="a.b", reason="s", until=None)
    assert exceptions(given)[0] == (ADA, "a.b", False, "s", None, ACTOR, NOON, third)
    change(given, Rights.ExceptionWithdrawn, ADA, 4, permission="a.b", reason="r")
    assert [row[0] for row in exceptions(given)] == [BOB]
    change(given, Rights.ExceptionExpired, BOB, 3, permission="a.b")
    assert exceptions(given) == []


def test_secondary_groups_and_locks_are_those_of_one_user(given: Given) -> None:
    for user in (ADA, BOB):
        change(given, Rights.SecondaryGroupGiven, user, 2, group="designer", reason="r", until=None)
        change(given, Rights.ClassLocked, user, 3, reason="r")
    position = change(given, Rights.SecondaryGroupGiven, ADA, 4, group="designer", reason="s", until=LATER)
    change(given, Rights.SecondaryGroupTaken, BOB, 4, group="designer", reason="r")
    change(given, Rights.ClassUnlocked, BOB, 5, reason="r")
    projected(given.platform, rights)
    assert rows_of(
        given.platform, "SELECT user_id, group_slug, reason, until, changed_pos FROM read.secondary_membership"
    ) == [(ADA, "designer", "s", LATER, position)]
    assert rows_of(given.platform, "SELECT user_id, reason, locked_by FROM read.class_lock") == [(ADA, "r", ACTOR)]
    assert {(t.rows, t.differences) for t in verify(given.platform, rights)} == {(0, 0), (1, 0)}


def test_who_has_something_that_is_over_is_found(given: Given) -> None:
    change(given, Rights.PermissionGranted, ADA, 2, permission="a.b", reason="r", until=LATER)
    position = change(given, Rights.SecondaryGroupGiven, ADA, 3, group="g", reason="r", until=LATER)
    change(given, Rights.PermissionGranted, ADA, 4, permission="c.d", reason="r", until=None)
    other = change(given, Rights.PermissionDenied, BOB, 2, permission="a.b", reason="r", until=NOON)
    projected(given.platform, rights)
    with given.platform.pool.connection() as connection:
        assert due_rights(connection, NOON - timedelta(seconds=1), 10) == []
        assert due_rights(connection, NOON, 10) == [(BOB, other)]
        assert due_rights(connection, LATER, 10) == [(BOB, other), (ADA, position)]
        assert due_rights(connection, LATER, 1) == [(BOB, other)]
