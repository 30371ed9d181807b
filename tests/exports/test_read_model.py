"""Archives of two persons as they are waited for, from events, and built again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.exports import Export, export_id
from projections.exports import exports
from queries.exports import due_exports
from runtime.rebuild import verify
from tests.given import NOON, Given, event, projected, rows_of

ALICE, BOB = UUID(int=1), UUID(int=2)
UNTIL = NOON + timedelta(days=3)

pytestmark = pytest.mark.engine


def test_who_waits_is_next_and_who_has_got_it_is_not(given: Given) -> None:
    for user in (ALICE, BOB):
        given.facts(
            event(Export.Opened, export_id(user), user_id=user),
            event(Export.Requested, export_id(user), 2, user_id=user),
        )
    given.facts(event(Export.Built, export_id(ALICE), 3, user_id=ALICE, until=UNTIL, size=7))
    projected(given.platform, exports)
    shown = "SELECT user_id, state, until, size FROM read.export ORDER BY user_id"
    assert rows_of(given.platform, shown) == [(ALICE, "built", UNTIL, 7), (BOB, "requested", None, None)]
    with given.platform.pool.connection() as connection:
        assert due_exports(connection, 9) == [BOB]
    given.facts(event(Export.Requested, export_id(ALICE), 4, user_id=ALICE))
    projected(given.platform, exports)
    with given.platform.pool.connection() as connection:
        assert set(due_exports(connection, 9)) == {ALICE, BOB}
    assert sum(table.differences for table in verify(given.platform, exports)) == 0
