"""What deeds achieve and what their undoing takes, by criteria of any form; and what staff decide about it."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.achievement_rules import (
    THRESHOLD_MAX,
    AchievementCatalogue,
    AchievementExists,
    BadAchievement,
    Comparator,
    Condition,
    Criteria,
    Match,
    Measure,
    NoSuchAchievement,
    Terms,
    criteria_from,
)
from domain.achievements import Achievements, AlreadyAchieved, NotAchieved
from domain.default_data import default_data
from domain.torrents import ReasonMissing

ADA = UUID(int=7)
UPLOADS, FILLED = Measure.UPLOADS, Measure.REQUESTS_FILLED


def criteria(*conditions: tuple[Measure, str, int], match: Match = Match.ALL) -> Criteria:
    return Criteria(match, tuple(Condition(measure, Comparator(how), n) for measure, how, n in conditions))


def catalogue(*wanted: Criteria) -> tuple[AchievementCatalogue, list[UUID]]:
    made = AchievementCatalogue.open()
    ids = [made.define(f"rule-{n}", Terms(f"Rule {n}", "", False, one)) for n, one in enumerate(wanted)]
    return made, ids


def has(achievements: Achievements) -> set[UUID]:
    return set(achievements.held)


def did(achievements: Achievements, measure: Measure, rules: AchievementCatalogue, *subjects: int) -> None:
    for subject in subjects:
        achievements.count(measure, UUID(int=subject), "it was listed", rules)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        (criteria((UPLOADS, ">=", 2)), True),
        (criteria((UPLOADS, ">", 2)), False),
        (criteria((UPLOADS, "=", 2)), True),
        (criteria((UPLOADS, "<=", 1)), False),
        (criteria((FILLED, "<", 1)), True),
        (criteria((UPLOADS, ">=", 2), (FILLED, ">=", 1)), False),
        (criteria((UPLOADS, ">=", 2), (FILLED, ">=", 1), match=Match.ANY), True),
        (criteria((UPLOADS, ">=", 3), (FILLED, ">=", 1), match=Match.ANY), False),
        (criteria(match=Match.ANY), False),
        (criteria(), False),
    ],
)
def test_criteria_are_met_by_two_uploads_or_not(wanted: Criteria, met: bool) -> None:
    assert wanted.met({UPLOADS: 2}) is met
    assert criteria_from(wanted.match, wanted.as_fields()) == wanted, "as events have it"


def test_a_deed_awards_and_its_undoing_revokes() -> None:
    rules, (first, second) = catalogue(criteria((UPLOADS, ">=", 1)), criteria((UPLOADS, ">=", 2)))
    ada = Achievements.open(ADA)
    did(ada, UPLOADS, rules, 1, 1, 2)
    assert has(ada) == {first, second}
    ada.uncount(UPLOADS, UUID(int=1), "the torrent was deleted", rules)
    assert has(ada) == {first}
    ada.uncount(UPLOADS, UUID(int=1), "the torrent was deleted", rules)
    revoked = [event for event in ada.collect_events() if isinstance(event, Achievements.Revoked)]
    assert [(one.rule_id, one.automatic, one.reason) for one in revoked] == [(second, True, "the torrent was deleted")]
    did(ada, UPLOADS, rules, 3)
    assert has(ada) == {first, second}


_DEEDS = st.lists(st.tuples(st.booleans(), st.sampled_from((UPLOADS, FILLED)), st.integers(1, 5)), max_size=40)


@given(deeds=_DEEDS, thresholds=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_what_is_held_is_what_the_deeds_that_stand_achieve(
    deeds: list[tuple[bool, Measure, int]], thresholds: list[int]
) -> None:
    """Whatever was done and undone in between: the awards minus the losses are what is due now."""
    rules, ids = catalogue(*(criteria((UPLOADS, ">=", n), (FILLED, ">=", n), match=Match.ANY) for n in thresholds))
    ada, standing = Achievements.open(ADA), set[tuple[Measure, int]]()
    for does, measure, subject in deeds:
        act = ada.count if does else ada.uncount
        act(measure, UUID(int=subject), "so it was", rules)
        (standing.add if does else standing.discard)((measure, subject))
    most = max(Counter(measure for measure, _ in standing).values(), default=0)
    assert has(ada) == {one for one, n in zip(ids, thresholds, strict=True) if most >= n}
    balance = Counter[UUID]()
    for event in ada.collect_events():
        if isinstance(event, Achievements.Awarded | Achievements.Revoked):
            balance[event.rule_id] += 1 if isinstance(event, Achievements.Awarded) else -1
    assert {one for one, n in balance.items() if n} == has(ada)


def test_what_staff_award_stays_and_what_staff_take_stays_away() -> None:
    rules, (earned, given_) = catalogue(criteria((UPLOADS, ">=", 1)), criteria())
    ada = Achievements.open(ADA)
    did(ada, UPLOADS, rules, 1)
    ada.award(given_, "for the logo", rules)
    ada.uncount(UPLOADS, UUID(int=1), "the torrent was deleted", rules)
    assert has(ada) == {given_}
    did(ada, UPLOADS, rules, 2)
    ada.revoke(earned, "by cheating")
    did(ada, UPLOADS, rules, 3)
    assert has(ada) == {given_}
    ada.award(earned, "it was not", rules)
    assert has(ada) == {given_, earned}


def test_staff_decisions_are_checked() -> None:
    rules, (badge,) = catalogue(criteria())
    ada = Achievements.open(ADA)
    with pytest.raises(NotAchieved):
        ada.revoke(badge, "why not")
    with pytest.raises(NoSuchAchievement):
        ada.award(UUID(int=1), "well done", rules)
    with pytest.raises(ReasonMissing):
        ada.award(badge, " ", rules)
    ada.award(badge, "well done", rules)
    with pytest.raises(AlreadyAchieved):
        ada.award(badge, "well done", rules)


def test_a_withdrawn_achievement_is_kept_and_not_awarded() -> None:
    rules, (first, second) = catalogue(criteria((UPLOADS, ">=", 1)), criteria((UPLOADS, ">=", 2)))
    ada = Achievements.open(ADA)
    did(ada, UPLOADS, rules, 1)
    for one in (first, second):
        rules.withdraw(one)
    did(ada, UPLOADS, rules, 2)
    assert has(ada) == {first}


def test_changed_criteria_hold_from_the_next_settling_on() -> None:
    rules, (rule,) = catalogue(criteria((UPLOADS, ">=", 9)))
    ada = Achievements.open(ADA)
    did(ada, UPLOADS, rules, 1)
    rules.change(rule, Terms("Easier", "", False, criteria((UPLOADS, ">=", 1))))
    ada.settle("the criteria were changed", rules)
    assert has(ada) == {rule}
    events = len(ada.pending_events)
    ada.settle("the criteria were changed", rules)
    assert len(ada.pending_events) == events, "asking twice is no news"


@pytest.mark.parametrize(
    ("slug", "terms"),
    [
        ("", Terms("Name", "", False, Criteria())),
        ("Upper", Terms("Name", "", False, Criteria())),
        ("a" * 65, Terms("Name", "", False, Criteria())),
        ("fine", Terms(" ", "", False, Criteria())),
        ("fine", Terms("n" * 101, "", False, Criteria())),
        ("fine", Terms("Name", "d" * 1001, False, Criteria())),
        ("fine", Terms("Name", "", False, criteria(*[(UPLOADS, ">=", 1)] * 11))),
        ("fine", Terms("Name", "", False, criteria((UPLOADS, ">=", -1)))),
        ("fine", Terms("Name", "", False, criteria((UPLOADS, ">=", THRESHOLD_MAX + 1)))),
    ],
)
def test_bad_terms_are_refused(slug: str, terms: Terms) -> None:
    with pytest.raises(BadAchievement):
        AchievementCatalogue.open().define(slug, terms)


def test_a_slug_is_taken_for_good() -> None:
    rules, (rule,) = catalogue(criteria())
    rules.withdraw(rule)
    with pytest.raises(AchievementExists):
        rules.define("rule-0", Terms("Again", "", False, Criteria()))
    with pytest.raises(NoSuchAchievement):
        rules.change(rule, Terms("Again", "", False, Criteria()))


def test_a_new_site_has_unit3ds_53() -> None:
    (rules,) = (one for one in default_data() if isinstance(one, AchievementCatalogue))
    found = Counter(condition.measure for terms in rules.rules.values() for condition in terms.criteria.conditions)
    assert found == {
        Measure.COMMENTS: 12,
        Measure.POSTS: 12,
        UPLOADS: 12,
        Measure.SUBTITLES: 13,
        FILLED: 4,
    }
    assert len(rules.rules) == 53
