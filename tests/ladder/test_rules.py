"""The ladder: what is asked, who has done it, and who has less than its class keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.default_data import GIB, LADDER, default_data
from domain.groups import Group
from domain.ladder import BadCriteria, Criteria, Standing, told

ASKED = Criteria(25 * GIB, 105, age_days=14, uploads=5, seed_size=100, average_seed_time_s=60, keep_ratio_percent=95)
DONE = Standing(30 * GIB, 20 * GIB, age_days=20, uploads=6, seed_size=100, average_seed_time_s=60)


def test_all_that_is_asked_has_to_be_met() -> None:
    assert ASKED.met(DONE)
    for field, one_short in {
        "uploaded": 25 * GIB - 1,
        "downloaded": 30 * GIB,  # a ratio of 1.00
        "age_days": 13,
        "uploads": 4,
        "seed_size": 99,
        "average_seed_time_s": 59,
    }.items():
        less = DONE._replace(**{field: one_short})
        assert not ASKED.met(less), field
        assert [one.met for one in ASKED.judge(less)].count(False) == 1, field


def test_what_is_zero_is_not_asked() -> None:
    nothing = Standing(0, 0, 0, 0, 0, 0)
    assert [one.name for one in Criteria(uploads=1).judge(nothing)] == ["uploads"]
    assert [one.name for one in ASKED.judge(DONE)] == [
        "uploaded", "ratio_percent", "age_days", "uploads", "seed_size", "average_seed_time_s",
    ]  # fmt: skip


def test_the_ratio_of_who_has_downloaded_nothing_passes() -> None:
    fresh = DONE._replace(downloaded=0)
    assert ASKED.met(fresh)
    assert ASKED.kept(fresh)
    assert [one.value for one in ASKED.judge(fresh)][1] is None


def test_a_class_is_lost_below_what_it_keeps_and_not_before() -> None:
    assert ASKED.kept(Standing(25 * GIB, 26 * GIB, 0, 5, 0, 0)), "age, seeding and the ratio that promotes are not kept"
    assert not ASKED.kept(DONE._replace(downloaded=40 * GIB))
    assert not ASKED.kept(DONE._replace(uploads=4))
    assert not ASKED.kept(DONE._replace(uploaded=25 * GIB - 1, downloaded=0))


COUNTS = st.integers(0, 2**63 - 1)
STANDINGS = st.builds(Standing, *[COUNTS] * 6)


@given(
    st.builds(Criteria, COUNTS, st.integers(0, 1000), COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 1000)), STANDINGS
)
def test_nobody_is_promoted_to_what_it_would_lose_at_once(criteria: Criteria, standing: Standing) -> None:
    criteria = criteria._replace(keep_ratio_percent=min(criteria.keep_ratio_percent, criteria.ratio_percent))
    if criteria.met(standing):
        assert criteria.kept(standing)


def test_the_figures_are_told() -> None:
    assert told(Criteria(uploaded=5, ratio_percent=105).judge(Standing(7, 5, 0, 0, 0, 0))) == (
        "uploaded 7 of 5, ratio_percent 140 of 105"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        Criteria(),
        Criteria(keep_ratio_percent=50),
        Criteria(uploads=-1, uploaded=1),
        Criteria(uploaded=2**60 + 1),
        Criteria(ratio_percent=1001),
        Criteria(ratio_percent=90, keep_ratio_percent=91),
    ],
)
def test_criteria_that_make_no_sense_are_refused(wrong: Criteria) -> None:
    with pytest.raises(BadCriteria):
        group("elite", 250).set_criteria(group("member", 100), wrong)


def test_a_class_follows_a_lower_one() -> None:
    for level in (250, 300):
        with pytest.raises(BadCriteria):
            group("elite", 250).set_criteria(group("member", level), ASKED)


def test_criteria_are_set_once_changed_and_removed_once() -> None:
    elite, member = group("elite", 250), group("member", 100)
    for _ in range(2):
        elite.set_criteria(member, ASKED)
    assert (elite.follows, elite.criteria) == ("member", ASKED)
    elite.set_criteria(member, ASKED._replace(uploads=6))
    for _ in range(2):
        elite.remove_criteria()
    changes: list[Any] = list(elite.collect_events())
    assert [type(change).__name__ for change in changes[1:]] == ["CriteriaSet", "CriteriaSet", "CriteriaRemoved"]
    assert (changes[1].uploads, changes[2].uploads) == (5, 6)


def test_a_new_site_has_the_ladder_of_gazelle() -> None:
    groups = {one.slug: one for one in default_data() if isinstance(one, Group)}
    assert [(slug, groups[slug].follows, groups[slug].criteria) for slug, _, _ in LADDER] == list(LADDER)
    rows = [(slug, asked.uploaded // GIB, asked.uploads, asked.age_days // 7) for slug, _, asked in LADDER]
    assert rows == [("power_user", 25, 5, 2), ("elite", 100, 50, 4), ("torrent_master", 500, 500, 8)]
    assert [slug for slug, one in groups.items() if one.criteria] == [slug for slug, _, _ in LADDER]


def group(slug: str, level: int) -> Group:
    return Group.found(slug, slug, level, frozenset())
