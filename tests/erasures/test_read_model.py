"""Two proposals and two erasures as staff see them, from events, and built again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.api_keys import ApiKey
from domain.base import ERASED
from domain.erasures import Erasure, ErasureProposal, erasure_id
from domain.users import User
from projections.api_keys import api_keys
from projections.erasures import erasures
from projections.users import users
from queries.erasures import due_erasures, last_completed
from runtime.rebuild import verify
from tests.given import ACTOR, NOON, Given, event, projected, rows_of

ALICE, BOB, FIRST, SECOND = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2, 3, 4))
UNTIL = NOON + timedelta(days=7)

pytestmark = pytest.mark.engine


@pytest.fixture
def two(given: Given) -> Given:
    for user, name, proposal in ((ALICE, "alice", FIRST), (BOB, "bob", SECOND)):
        made = {"user_id": user, "proposer_id": ACTOR, "reason": f"{name} asked", "until": UNTIL}
        given.facts(
            event(User.Registered, user, username=name, email=f"{name}@example.org", group="member"),
            event(
                ApiKey.Issued,
                UUID(int=user.int + 16),
                user_id=user,
                name=f"of {name}",
                scopes=["read"],
                expires_at=None,
            ),
            event(ErasureProposal.Made, proposal, **made),
        )
    return given


def proposals(given: Given) -> list[tuple[object, ...]]:
    projected(given.platform, erasures)
    return rows_of(
        given.platform, "SELECT user_id, state, reason, answered_by, answer FROM read.erasure_proposal ORDER BY user_id"
    )


def test_proposals_are_answered_one_by_one(two: Given) -> None:
    assert proposals(two) == [(ALICE, "open", "alice asked", None, None), (BOB, "open", "bob asked", None, None)]
    two.facts(event(ErasureProposal.Approved, FIRST, 2, user_id=ALICE, approver_id=ACTOR))
    two.facts(event(ErasureProposal.Declined, SECOND, 2, user_id=BOB, reason="not bob"))
    assert proposals(two) == [
        (ALICE, "approved", "alice asked", ACTOR, None),
        (BOB, "declined", "bob asked", ACTOR, "not bob"),
    ]


def test_a_completed_erasure_takes_the_words_out_of_the_read_tables(two: Given) -> None:
    two.facts(event(ErasureProposal.Declined, FIRST, 2, user_id=ALICE, reason="not alice"))
    two.facts(event(Erasure.Begun, erasure_id(ALICE), user_id=ALICE, proposal_id=None))
    two.facts(event(User.Erased, ALICE, 2))
    projected(two.platform, erasures, users, api_keys)
    with two.platform.pool.connection() as connection:
        assert due_erasures(connection, 9) == [ALICE]
        assert last_completed(connection) == 0
    position = two.facts(event(Erasure.Completed, erasure_id(ALICE), 2, user_id=ALICE))
    assert proposals(two)[0] == (ALICE, "declined", ERASED, ACTOR, ERASED)
    assert proposals(two)[1] == (BOB, "open", "bob asked", None, None)
    with two.platform.pool.connection() as connection:
        assert due_erasures(connection, 9) == []
        assert last_completed(connection) == position
    projected(two.platform, users, api_keys)
    shown = rows_of(two.platform, "SELECT username, email, version FROM read.account ORDER BY user_id")
    assert shown == [(ERASED, ERASED, 2), ("bob", "bob@example.org", 1)]
    assert rows_of(two.platform, "SELECT name FROM read.api_key ORDER BY user_id") == [(ERASED,), ("of bob",)]


def test_a_rebuild_gives_the_same_with_and_without_the_key(two: Given) -> None:
    two.facts(event(Erasure.Begun, erasure_id(ALICE), user_id=ALICE, proposal_id=None))
    two.facts(event(User.Erased, ALICE, 2), event(Erasure.Completed, erasure_id(ALICE), 2, user_id=ALICE))
    projected(two.platform, erasures, users, api_keys)
    for destroy in (False, True):
        if destroy:
            two.platform.keyring.destroy(ALICE)
        for projection in (erasures, users, api_keys):
            assert sum(table.differences for table in verify(two.platform, projection)) == 0
