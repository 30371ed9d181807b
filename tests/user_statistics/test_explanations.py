"""Every number of a profile is the sum of the facts that explain it, whatever happened and however it was counted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

import domain
from projections.bonus import bonus
from projections.peers import peers
from projections.torrents import torrents
from projections.user_statistics import user_statistics
from projections.users import users
from queries.explanations import SOURCES, Explanation, Number, explanations
from queries.user_stats import user_stats
from runtime import follow
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.conftest import MakePlatform
from tests.given import NOON, projected, rows_of
from tests.user_statistics.world import World

pytestmark = pytest.mark.engine

FOLLOWERS = (users, torrents, bonus, peers, user_statistics)


@pytest.fixture
def site(make_platform: MakePlatform) -> Platform:
    return make_platform(domain.EVENTS, FOLLOWERS)


#: What happens, to which user, with which of the things that there are.
_STEPS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), st.integers(0, 3)), min_size=10, max_size=25)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, facts_at_once=st.sampled_from((1, 3, 500)), page=st.sampled_from((1, 3, 100)))
def test_every_number_is_the_sum_of_its_facts(
    site: Platform, steps: list[tuple[int, int, int]], facts_at_once: int, page: int
) -> None:
    world = World(site)
    for step in steps:
        world.do(*step)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(follow, "BATCH", facts_at_once)
        projected(site, *FOLLOWERS)
    with site.pool.connection() as db:
        db.execute("SET search_path = read")
        for user_id in world.users:
            numbers = user_stats(db, [user_id], NOON)[user_id].model_dump(mode="json")
            explained = {number: _sum(db, user_id, number, page) for number in Number}
            assert explained == {number: numbers[number] for number in Number}
            assert numbers["bonus_points"] == round(numbers["bonus_earned"] - numbers["bonus_spent"], 3)
    assert {check.table: check.differences for check in verify(site, user_statistics)} == dict.fromkeys(
        user_statistics.tables, 0
    )
    _assert_the_past_adds_up(site)


def _sum(db: Connection[Any], user_id: UUID, number: Number, page: int) -> float:
    found = list(_explained(db, user_id, number, page))
    assert len({tuple(one.keys) for one in found}) == len(found), "no fact twice"
    return round(sum(one.amount for one in found), 3)


def _explained(db: Connection[Any], user_id: UUID, number: Number, page: int) -> list[Explanation]:
    found: list[Explanation] = []
    while rows := explanations(db, user_id, number, found[-1].keys if found else None, page):
        found += rows
    return found


def _assert_the_past_adds_up(site: Platform) -> None:
    """Sums over all periods are what is counted now, and the site's numbers those of all users."""
    columns = "uploads, uploads_anonymous, requests_filled, bounty_spent, bonus_earned, reports, accounts"
    sums = ", ".join(f"sum({column})" for column in columns.split(", "))
    now = rows_of(site, f"SELECT user_id, {columns} FROM read.user_statistics ORDER BY user_id")
    assert now == rows_of(
        site, f"SELECT user_id, {sums} FROM read.statistics_history GROUP BY user_id ORDER BY user_id"
    )
    of_site = rows_of(site, f"SELECT {columns} FROM read.user_statistics WHERE user_id = %s", [UUID(int=0)])
    assert of_site == rows_of(site, f"SELECT {sums} FROM read.user_statistics WHERE user_id <> %s", [UUID(int=0)])


def test_every_number_has_a_source() -> None:
    assert set(SOURCES) == set(Number)
