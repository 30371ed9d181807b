"""The keys of two users as they are listed, from events, and built again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.api_keys import ApiKey
from projections.api_keys import api_keys
from runtime.rebuild import verify
from tests.given import NOON, Given, event, projected, rows_of

ALICE, BOB, FIRST, SECOND = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in range(1, 5))

SOON = NOON + timedelta(days=7)

pytestmark = pytest.mark.engine


@pytest.fixture
def two(given: Given) -> Given:
    given.facts(event(ApiKey.Issued, FIRST, user_id=ALICE, name="seedbox", scopes=["read"], expires_at=None))
    given.facts(event(ApiKey.Issued, SECOND, user_id=BOB, name="phone", scopes=["read", "write"], expires_at=SOON))
    return given


def listed(given: Given) -> list[tuple[Any, ...]]:
    projected(given.platform, api_keys)
    columns = "user_id, name, scopes, created_at, revoked_at, revoke_reason, expires_at"
    return rows_of(given.platform, f"SELECT {columns} FROM read.api_key ORDER BY key_id")


def test_keys_are_listed_with_name_and_scopes(two: Given) -> None:
    assert listed(two) == [
        (ALICE, "seedbox", ["read"], NOON, None, None, None),
        (BOB, "phone", ["read", "write"], NOON, None, None, SOON),
    ]


def test_a_revoked_key_says_when_and_why(two: Given) -> None:
    later = NOON + timedelta(days=1)
    two.facts(event(ApiKey.Revoked, SECOND, 2, later, reason="banned"))
    assert [row[4:6] for row in listed(two)] == [(None, None), (later, "banned")]


def test_running_twice_and_rebuilding_give_the_same_table(two: Given) -> None:
    two.facts(event(ApiKey.Revoked, FIRST, 2, reason="revoked"))
    assert listed(two) == listed(two)
    assert [(t.table, t.rows, t.differences) for t in verify(two.platform, api_keys)] == [("api_key", 2, 0)]


def test_the_name_that_a_user_chose_is_kept_as_ciphertext(two: Given) -> None:
    stored = b"".join(bytes(row[0]) for row in rows_of(two.platform, "SELECT data FROM es.event"))
    assert b"seedbox" not in stored
    assert b"phone" not in stored
