"""Choices of two users as queries look them up, and built again."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.privacy import EVERYTHING_SHOWN, Privacy, PrivacyKey, PrivacySettings, privacy_id
from projections.privacy import privacy
from queries.privacy import privacy_of
from runtime.rebuild import verify
from tests.given import Given, event, projected

ALICE, BOB, CAROL = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))

pytestmark = pytest.mark.engine


def test_the_last_choice_of_each_user_holds(given: Given) -> None:
    for user in (ALICE, BOB):
        given.facts(event(Privacy.Opened, privacy_id(user), user_id=user))
    for version, hidden in ((2, ["ratio"]), (3, ["lastseen"])):
        given.facts(event(Privacy.Chosen, privacy_id(ALICE), version, user_id=ALICE, hidden=hidden, counted=[]))
    given.facts(event(Privacy.Chosen, privacy_id(BOB), 2, user_id=BOB, hidden=[], counted=["seeding"]))
    for _ in range(2):
        projected(given.platform, privacy)
    with given.platform.pool.connection() as connection:
        settings = privacy_of(connection, [ALICE, BOB, CAROL])
    assert settings == {
        ALICE: PrivacySettings(frozenset({PrivacyKey.LAST_SEEN})),
        BOB: PrivacySettings(counted=frozenset({PrivacyKey.SEEDING})),
        CAROL: EVERYTHING_SHOWN,
    }
    assert [(t.table, t.rows, t.differences) for t in verify(given.platform, privacy)] == [("privacy", 2, 0)]
