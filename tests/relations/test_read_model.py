"""Relations of two users as they are listed, what an erasure leaves of them, and built again."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.erasures import Erasure, erasure_id
from domain.relations import Relations
from projections.relations import relations
from runtime.rebuild import verify
from tests.given import Given, event, projected, rows_of

ALICE, BOB, CAROL = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))

pytestmark = pytest.mark.engine


def rows(given: Given) -> list[tuple[object, ...]]:
    projected(given.platform, relations)
    return rows_of(given.platform, "SELECT user_id, kind, other_id, note FROM read.relation ORDER BY 1, 2, 3")


def test_each_relation_begins_and_ends_alone(given: Given) -> None:
    hers, his = Relations.open(ALICE), Relations.open(BOB)
    for each, other in ((hers, BOB), (his, ALICE)):
        each.befriend(other, "a friend")
        each.follow(CAROL)
    his.befriend(ALICE, "a good friend")
    given.aggregates(hers)
    given.aggregates(his)
    assert rows(given) == [
        (ALICE, "follow", CAROL, None), (ALICE, "friend", BOB, "a friend"),
        (BOB, "follow", CAROL, None), (BOB, "friend", ALICE, "a good friend"),
    ]  # fmt: skip
    hers.block(BOB)
    his.unfollow(CAROL)
    given.aggregates(hers)
    given.aggregates(his)
    assert rows(given) == [
        (ALICE, "block", BOB, None), (ALICE, "follow", CAROL, None), (BOB, "friend", ALICE, "a good friend"),
    ]  # fmt: skip
    assert [(t.rows, t.differences) for t in verify(given.platform, relations)] == [(3, 0)]


def test_nobody_is_left_with_who_was_erased(given: Given) -> None:
    hers, his = Relations.open(ALICE), Relations.open(BOB)
    hers.follow(BOB)
    hers.follow(CAROL)
    his.befriend(ALICE, "")
    given.aggregates(hers)
    given.aggregates(his)
    given.facts(
        event(Erasure.Begun, erasure_id(BOB), user_id=BOB, proposal_id=None),
        event(Erasure.Completed, erasure_id(BOB), 2, user_id=BOB),
    )
    assert rows(given) == [(ALICE, "follow", CAROL, None)]
    hers.unfollow(BOB)
    given.aggregates(hers)
    assert rows(given) == [(ALICE, "follow", CAROL, None)]
    assert [(t.rows, t.differences) for t in verify(given.platform, relations)] == [(1, 0)]
