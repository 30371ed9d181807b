"""Invites: what ends one, what it costs, who may not send one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.announce_rules import RatioRule
from domain.base import MAX_COUNT
from domain.emails import COOL_OFF
from domain.errors import DomainError
from domain.invites import (
    NOTE_MAX,
    BadInvites,
    BadNote,
    Invite,
    InviteAllowance,
    InviteOver,
    InviteRefused,
    InvitingCoolsOff,
    InvitingSuspended,
    NoInvitesLeft,
    OwnAddress,
    check_inviter,
)
from domain.registration import RegistrationClosed, check_applying, check_inviting, check_registration
from domain.torrents import ReasonMissing
from domain.users import User

NOW = datetime.now(UTC)
EMAIL, EXPIRES = "guest@example.org", NOW + timedelta(days=14)


def invite(note: str = "") -> Invite:
    made = Invite.send(uuid4(), uuid4(), EMAIL, EXPIRES, inviter_id=uuid4(), charged=True, note=note)
    made.collect_events()
    return made


def inviter() -> User:
    return User.register(uuid4(), "alice", "alice@example.org", "power_user")


def decided(made: Invite | InviteAllowance) -> list[type]:
    return [type(event) for event in made.collect_events()]


def test_an_invite_is_accepted_once_whatever_the_case_of_the_address() -> None:
    made = invite()
    made.accept("Guest@Example.org", now=NOW)
    assert decided(made) == [Invite.Accepted]
    with pytest.raises(InviteRefused):
        made.accept(EMAIL, now=NOW)


@pytest.mark.parametrize(
    ("email", "at"), [("other@example.org", NOW), (EMAIL, EXPIRES), (EMAIL, EXPIRES + timedelta(days=9))]
)
def test_an_invite_is_for_one_address_and_for_its_time(email: str, at: datetime) -> None:
    with pytest.raises(InviteRefused):
        invite().accept(email, now=at)


@pytest.mark.parametrize("end", ["accept", "revoke", "expire"])
def test_what_is_over_stays_so(end: str) -> None:
    made = invite()
    if end == "accept":
        made.accept(EMAIL, now=NOW)
    elif end == "revoke":
        made.revoke(now=NOW)
    else:
        made.expire(now=EXPIRES)
    made.collect_events()
    for again in (made.revoke, made.send_again):
        with pytest.raises(InviteOver):
            again(now=NOW)
    with pytest.raises(InviteRefused):
        made.accept(EMAIL, now=NOW)
    made.expire(now=EXPIRES)
    assert decided(made) == []


def test_an_invite_expires_at_its_time_and_is_then_neither_revoked_nor_sent_again() -> None:
    made = invite()
    made.expire(now=EXPIRES - timedelta(seconds=1))
    assert decided(made) == []
    for late in (made.revoke, made.send_again):
        with pytest.raises(InviteOver):
            late(now=EXPIRES)
    made.expire(now=EXPIRES)
    assert decided(made) == [Invite.Expired]


def test_a_note_is_short() -> None:
    with pytest.raises(BadNote):
        invite("x" * (NOTE_MAX + 1))


@given(st.lists(st.sampled_from(["grant", "month", "spend", "refund"]), max_size=40))
@settings(max_examples=100, deadline=None)
def test_nobody_sends_more_than_was_given(steps: list[str]) -> None:
    allowance, given_, spent = InviteAllowance.open(uuid4()), 0, 0
    for month, step in enumerate(steps):
        at = NOW + timedelta(days=31 * month)
        if step == "grant":
            allowance.grant(2, "for the logo")
            given_ += 2
        elif step == "month":
            allowance.credit_month(3, now=at)
            allowance.credit_month(3, now=at)
            given_ += 3
        elif step == "refund" and spent:
            allowance.refund(uuid4())
            spent -= 1
        elif step == "spend":
            try:
                allowance.spend(uuid4())
            except NoInvitesLeft:
                assert spent == given_
            else:
                spent += 1
        assert allowance.balance == given_ - spent >= 0


def test_a_group_that_gives_none_credits_no_month_and_a_past_month_comes_never_again() -> None:
    allowance = InviteAllowance.open(uuid4())
    allowance.credit_month(0, now=NOW)
    allowance.credit_month(2, now=NOW)
    allowance.credit_month(2, now=NOW - timedelta(days=62))
    assert decided(allowance) == [InviteAllowance.Opened, InviteAllowance.MonthCredited]


@pytest.mark.parametrize(
    ("invites", "reason", "rule"), [(0, "why", BadInvites), (-1, "why", BadInvites), (MAX_COUNT, "why", BadInvites),
     (1, " ", ReasonMissing)],
)  # fmt: skip
def test_grants_that_are_none_are_refused(invites: int, reason: str, rule: type[DomainError]) -> None:
    allowance = InviteAllowance.open(uuid4())
    allowance.grant(1, "why")
    with pytest.raises(rule):
        allowance.grant(invites, reason)
    assert allowance.balance == 1


def test_nobody_invites_themselves() -> None:
    with pytest.raises(OwnAddress):
        check_inviter(inviter(), "ALICE@example.org", now=NOW)


@pytest.mark.parametrize("change", ["email", "second factor on", "second factor off"])
def test_after_a_change_of_how_to_sign_in_nobody_invites_for_a_day(change: str) -> None:
    """A08: who takes an account over does not fill the site with friends."""
    user = inviter()
    if change == "email":
        user.change_email("new@example.org")
        at = user.email_changed_at
    else:
        user.enable_two_factor()
        if change == "second factor off":
            user.disable_two_factor()
        at = user.two_factor_changed_at
    assert at is not None
    with pytest.raises(InvitingCoolsOff):
        check_inviter(user, EMAIL, now=at + COOL_OFF - timedelta(seconds=1))
    check_inviter(user, EMAIL, now=at + COOL_OFF)


def test_who_may_not_download_for_its_ratio_invites_nobody() -> None:
    user = inviter()
    user.hold_to_ratio(RatioRule(60, 0), frozenset({"announce.leech"}), 0, 100, now=NOW)
    with pytest.raises(InvitingSuspended):
        check_inviter(user, EMAIL, now=NOW)


@pytest.mark.parametrize(
    ("mode", "alone", "invited", "inviting", "applying"),
    [("open", True, True, True, False), ("invite", False, True, True, False), ("application", False, True, True, True),
     ("closed", False, False, False, False)],
)  # fmt: skip
def test_every_mode_lets_in_whom_it_says(mode: str, alone: bool, invited: bool, inviting: bool, applying: bool) -> None:
    def open_to(check: object, **how: bool) -> bool:
        assert callable(check)
        try:
            check(mode, **how)
        except RegistrationClosed:
            return False
        return True

    assert open_to(check_registration, invited=False) is alone
    assert open_to(check_registration, invited=True) is invited
    assert open_to(check_inviting) is inviting
    assert open_to(check_applying) is applying
