"""Accounts: which names, addresses and passwords there are, who may act on whom, what is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.announce_rules import RatioRule
from domain.emails import BadEmail, check_email
from domain.passwords import WeakPassword, check_password
from domain.permissions import Permission
from domain.usernames import BadUsername, ReservedUsername, check_username, username_key
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


@pytest.mark.parametrize("name", ["bob", "A-b_c", "x" * 25, "1234", "a1-b2"])
def test_plain_names_are_taken(name: str) -> None:
    check_username(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "a", "ab", "x" * 26, "x" * 33, "ᴮᴵᴳᴮᴵᴿᴰ", "admin\u200b", "\u0430lice", "ﬁona", "İstan", "straße", "..",
        "a\tb", "@alice", "-bob", "bob-", "a--b", "a_-b", "al ice", "alice\n", "a.b.c", "١٢٣", "名前名前",
    ],
)  # fmt: skip
def test_names_that_could_pass_for_others_are_refused(name: str) -> None:
    with pytest.raises(BadUsername):
        check_username(name)


@pytest.mark.parametrize("name", ["system", "SYSTEM", "Admin", "erased", "nobody"])
def test_the_sites_own_names_are_reserved(name: str) -> None:
    with pytest.raises(ReservedUsername):
        check_username(name)
    check_username(name, reserved=True)


@given(st.from_regex(r"[A-Za-z0-9]{3,25}", fullmatch=True))
@settings(max_examples=50)
def test_the_form_by_which_names_are_unique_is_stable(name: str) -> None:
    assert username_key(username_key(name)) == username_key(name) == username_key(name.swapcase())


@pytest.mark.parametrize("email", ["a+b@x.org", "A@X.ORG", "first.last@mail.example.co.uk", f"{'a' * 64}@x.org"])
def test_plain_addresses_are_taken(email: str) -> None:
    check_email(email)


@pytest.mark.parametrize(
    "email",
    [
        "", "a", "a@", "@x.org", "a@x", "a@x.", "a@.org", "a@-x.org", f"{'a' * 65}@x.org", f"a@{'x' * 250}.org",
        '"a b"@x.org', "a@[127.0.0.1]", "a@x.org\r\nBcc: b@x.org", "a@x.org, b@x.org", "a@x.org b@x.org", "ä@x.org",
        "a@ä.org", "a@@x.org",
    ],
)  # fmt: skip
def test_addresses_that_mail_systems_read_in_two_ways_are_refused(email: str) -> None:
    with pytest.raises(BadEmail):
        check_email(email)


@pytest.mark.parametrize("password", ["a" * 7 + "b", " spaces stay ", "пароль-надолго", "x" * 256, "🐴🔋📎✅" * 2])
def test_any_text_of_8_to_256_characters_may_be_a_password(password: str) -> None:
    check_password(password, "alice", "alice@example.org")


@pytest.mark.parametrize(
    "password",
    ["", "short12", "x" * 257, "password", "PassWord123", "12345678", "alice-long", "ALICE-LONG", "a.lice@example.org"],
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_password(password, "alice-long", "a.lice@example.org")


def test_the_local_part_of_the_address_is_no_password() -> None:
    with pytest.raises(WeakPassword):
        check_password("firstlast", "alice", "FirstLast@example.org")


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
