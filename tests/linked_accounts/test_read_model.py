"""Two groups of linked accounts as they are listed, and built again."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.linked_accounts import LinkGroup
from projections.linked_accounts import linked_accounts
from runtime.rebuild import verify
from tests.given import ACTOR, NOON, Given, event, projected, rows_of

ONE, TWO, ALICE, BOB, CAROL, DAVE = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in range(1, 7))

pytestmark = pytest.mark.engine


def rows(given: Given) -> list[tuple[object, ...]]:
    projected(given.platform, linked_accounts)
    return rows_of(given.platform, "SELECT user_id, group_id, reason FROM read.linked_account ORDER BY user_id")


def test_accounts_come_and_go(given: Given) -> None:
    given.facts(event(LinkGroup.Formed, ONE, user_ids=[ALICE, BOB], reason="a"))
    given.facts(event(LinkGroup.Joined, ONE, 2, user_id=CAROL, reason="b"))
    assert rows(given) == [(ALICE, ONE, "a"), (BOB, ONE, "a"), (CAROL, ONE, "b")]
    given.facts(event(LinkGroup.Left, ONE, 3, user_id=BOB, reason="c"))
    given.facts(event(LinkGroup.Formed, TWO, user_ids=[BOB, DAVE], reason="d"))
    assert rows(given) == [(ALICE, ONE, "a"), (BOB, TWO, "d"), (CAROL, ONE, "b"), (DAVE, TWO, "d")]
    given.facts(event(LinkGroup.Dissolved, ONE, 4, user_ids=[ALICE, CAROL], reason="e"))
    assert rows(given) == [(BOB, TWO, "d"), (DAVE, TWO, "d")]
    linked = rows_of(given.platform, "SELECT DISTINCT linked_by, linked_at FROM read.linked_account")
    assert linked == [(ACTOR, NOON)]
    assert [(t.rows, t.differences) for t in verify(given.platform, linked_accounts)] == [(2, 0)]
