"""Addresses: which are taken, and how one is exchanged for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.emails import (
    COOL_OFF,
    UNDO_WITHIN,
    BadEmail,
    EmailChange,
    EmailChangedLately,
    EmailChangeOver,
    SameEmail,
    check_cool_off,
    check_email,
    email_key,
)

USER = uuid4()
NOW, HOUR, SECOND = datetime.now(UTC), timedelta(hours=1), timedelta(seconds=1)


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


def change(*, confirmed: bool = False) -> EmailChange:
    made = EmailChange.ask(uuid4(), USER, "new@example.org", "old@example.org")
    if confirmed:
        made.confirm()
    made.collect_events()
    return made


def decided(made: EmailChange) -> list[type]:
    return [type(event) for event in made.collect_events()]


def test_who_asks_for_the_address_it_has_asks_for_nothing() -> None:
    with pytest.raises(SameEmail):
        EmailChange.ask(uuid4(), USER, "old@example.org", "old@example.org")


def test_before_it_is_confirmed_a_change_is_cancelled_and_afterwards_undone() -> None:
    asked, confirmed = change(), change(confirmed=True)
    asked.take_back(now=NOW)
    confirmed.take_back(now=NOW)
    assert (decided(asked), decided(confirmed)) == ([EmailChange.Cancelled], [EmailChange.Undone])


@pytest.mark.parametrize("end", ["confirm", "cancel", "undo", "settle"])
def test_what_is_over_stays_so(end: str) -> None:
    made = change(confirmed=end in {"undo", "settle"})
    if end == "confirm":
        made.confirm()
    elif end == "settle":
        made.settle(now=NOW + UNDO_WITHIN + HOUR)
    else:
        made.take_back(now=NOW)
    made.collect_events()
    with pytest.raises(EmailChangeOver):
        made.confirm()
    if end != "confirm":
        with pytest.raises(EmailChangeOver):
            made.take_back(now=NOW)
        made.settle(now=NOW + 2 * UNDO_WITHIN)
    assert decided(made) == []


def test_a_change_is_undone_for_a_week_and_settled_after_it() -> None:
    made = change(confirmed=True)
    assert made.confirmed_at is not None
    end = made.confirmed_at + UNDO_WITHIN
    made.settle(now=end - SECOND)
    assert decided(made) == []
    with pytest.raises(EmailChangeOver):
        made.take_back(now=end)
    made.settle(now=end)
    made.settle(now=end)
    assert decided(made) == [EmailChange.Settled]


def test_what_was_never_confirmed_is_never_settled() -> None:
    made = change()
    made.settle(now=NOW + 2 * UNDO_WITHIN)
    assert decided(made) == []


def test_an_address_cools_off_for_a_day() -> None:
    check_cool_off(None, now=NOW)
    check_cool_off(NOW - COOL_OFF, now=NOW)
    with pytest.raises(EmailChangedLately):
        check_cool_off(NOW - COOL_OFF + SECOND, now=NOW)


@given(st.emails())
@settings(max_examples=100, deadline=None)
def test_the_form_by_which_addresses_are_unique_is_stable(email: str) -> None:
    assert email_key(email_key(email)) == email_key(email) == email_key(email.upper())
