"""Accounts: which names, addresses and passwords there are, who may act on whom, what is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.announce_rules import RatioRule
from domain.permissions import Permission
from domain.users import FIRST_GROUP, WAITING_GROUP, AboveOwnLevel, AlreadyVerified, User, must_outrank

ID = UUID("0199a4f0-0000-7000-8000-000000000001")
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
RULE, OFF = RatioRule(60, 1000), RatioRule(0, 1000)
LEECH = frozenset({"announce.leech"})


def registered(group: str = FIRST_GROUP) -> User:
    user = User.register(ID, "alice", "alice@example.org", group)
    user.collect_events()
    return user


def decided(user: User) -> list[type]:
    return [type(event) for event in user.collect_events()]


@pytest.mark.parametrize(("actor", "other"), [(100, 100), (100, 200), (0, 0)])
def test_nobody_acts_on_equals_or_above(actor: int, other: int) -> None:
    with pytest.raises(AboveOwnLevel):
        must_outrank(actor, other)


def test_staff_act_on_lower_levels() -> None:
    must_outrank(900, 899)


def test_confirming_the_address_lets_a_waiting_user_in() -> None:
    user = registered(WAITING_GROUP)
    user.verify_email()
    assert decided(user) == [User.EmailVerified, User.GroupChanged]
    assert (user.group, user.email_verified) == (FIRST_GROUP, True)


def test_confirming_the_address_of_somebody_promoted_meanwhile_keeps_the_group() -> None:
    user = registered("elite")
    user.verify_email()
    assert decided(user) == [User.EmailVerified]


def test_an_address_is_confirmed_once() -> None:
    user = registered()
    user.verify_email()
    with pytest.raises(AlreadyVerified):
        user.verify_email()


def test_asking_for_what_is_so_records_nothing() -> None:
    user = registered()
    user.enable("again")
    user.change_group(FIRST_GROUP, "again")
    user.disable_two_factor()
    assert decided(user) == []


def test_disabling_twice_is_recorded_once() -> None:
    user = registered()
    user.disable("spam")
    user.disable("spam")
    assert decided(user) == [User.Disabled]
    user.enable("appeal")
    assert user.enabled


def test_every_reset_moves_the_passkey_number_on() -> None:
    user = registered()
    user.reset_passkey()
    user.reset_passkey()
    assert [e.passkey_no for e in user.collect_events() if isinstance(e, User.PasskeyReset)] == [2, 3]


def hold(user: User, uploaded: int, downloaded: int, rule: RatioRule = RULE, rights: frozenset[str] = LEECH) -> Any:
    """What the ratio rule decides for these bytes."""
    user.hold_to_ratio(rule, rights, uploaded, downloaded, now=NOW)
    return user.collect_events()


def suspended() -> User:
    user = registered()
    assert len(hold(user, 599, 1000)) == 1
    return user


def test_who_falls_below_the_ratio_may_not_download_and_the_figures_are_kept() -> None:
    user = registered()
    (fact,) = hold(user, 599, 1000)
    assert isinstance(fact, User.LeechingSuspended)
    assert (fact.reason, fact.uploaded, fact.downloaded, fact.required_ratio_percent) == (
        "ratio below the required 0.60", 599, 1000, 60,
    )  # fmt: skip
    assert user.leeching_suspended
    assert hold(user, 0, 5000) == []


@pytest.mark.parametrize(("uploaded", "downloaded"), [(0, 0), (0, 999), (600, 1000), (10**18, 10**18)])
def test_who_satisfies_the_ratio_is_left_alone(uploaded: int, downloaded: int) -> None:
    user = registered()
    assert hold(user, uploaded, downloaded) == []
    assert not user.leeching_suspended


@pytest.mark.parametrize("rights", [frozenset[str](), LEECH | {"announce.freeleech"}])
def test_who_may_not_download_or_is_not_charged_is_not_suspended(rights: frozenset[str]) -> None:
    assert hold(registered(), 0, 5000, rights=rights) == []


def test_immunity_from_hit_and_run_is_none_from_the_ratio() -> None:
    (fact,) = hold(registered(), 0, 5000, rights=LEECH | {Permission.HIT_AND_RUN_IMMUNE})
    assert isinstance(fact, User.LeechingSuspended)


def test_a_disabled_account_is_left_alone_until_it_is_enabled() -> None:
    user = registered()
    user.disable("a break")
    user.collect_events()
    assert hold(user, 0, 5000) == []
    user.enable("back")
    user.collect_events()
    assert len(hold(user, 0, 5000)) == 1


@pytest.mark.parametrize(
    ("uploaded", "rule", "rights", "reason"),
    [
        (600, RULE, LEECH, "the ratio rule is satisfied"),
        (0, RatioRule(60, 1001), LEECH, "the ratio rule is satisfied"),
        (0, OFF, LEECH, "no ratio is required"),
        (0, RULE, LEECH | {"announce.freeleech"}, "downloads are not charged"),
    ],
)
def test_what_gives_the_right_back(uploaded: int, rule: RatioRule, rights: frozenset[str], reason: str) -> None:
    user = suspended()
    (fact,) = hold(user, uploaded, 1000, rule, rights)
    assert isinstance(fact, User.LeechingRestored)
    assert fact.reason == reason
    assert not user.leeching_suspended
    assert hold(user, uploaded, 1000, rule, rights) == []


def test_personal_freeleech_exempts_for_its_time() -> None:
    user = suspended()
    user.grant_freeleech(NOW + timedelta(hours=1), now=NOW)
    user.collect_events()
    assert [type(fact) for fact in hold(user, 599, 1000)] == [User.LeechingRestored]
    user.hold_to_ratio(RULE, LEECH, 599, 1000, now=NOW + timedelta(hours=1))
    assert decided(user) == [User.LeechingSuspended]
