"""A projection that has fallen behind makes the rows that it would have made fact by fact."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from projections import ALL
from runtime.gathering import live
from runtime.platform import Platform
from tests.given import everything, projected
from tests.history import write_history

pytestmark = pytest.mark.engine


def tables(platform: Platform) -> dict[str, set[str]]:
    return {table: everything(platform, table) for projection in ALL for table in projection.tables}


def test_every_read_table_is_the_same_however_many_facts_are_handled_together(
    platform: Platform, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, repeated: list[str]
) -> None:
    write_history(platform)
    made = list[dict[str, set[str]]]()
    for many in (1_000_000, 2):  # statement by statement, and gathered whenever there are two
        monkeypatch.setattr(live, "MANY", many)
        projected(platform, *ALL)
        made.append(tables(platform))
        owner.execute(f"TRUNCATE {', '.join(f'read.{table}' for table in made[0])}; DELETE FROM es.follower")
    assert made[0] == made[1]
    assert not repeated, "\n".join(repeated)
    assert sum(map(len, made[0].values())) > 100
