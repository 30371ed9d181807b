"""The table of accounts, built from events of two users, and built again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain.users import WAITING_GROUP, User
from projections.users import users
from runtime.follow import Step
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import NOON, Given, event, halted_error, projected, rows_of

ALICE = UUID("0199a4f0-0000-7000-8000-000000000001")
BOB = UUID("0199a4f0-0000-7000-8000-000000000002")

pytestmark = pytest.mark.engine


@pytest.fixture
def two(given: Given) -> Given:
    given.facts(
        event(User.Registered, ALICE, 1, username="Alice", email="alice@example.org", group=WAITING_GROUP),
        event(User.Registered, BOB, 1, username="bob", email="bob@example.org", group="member"),
    )
    return given


def account(platform: Platform, user_id: UUID, *columns: str) -> tuple[Any, ...]:
    projected(platform, users)
    (row,) = rows_of(platform, f"SELECT {', '.join(columns)} FROM read.account WHERE user_id = %s", [user_id])
    return row


def test_a_registration_shows_name_address_and_group(two: Given) -> None:
    columns = "username", "email", "group_slug", "state", "passkey_no", "registered_at", "version"
    assert account(two.platform, ALICE, *columns) == (
        "Alice", "alice@example.org", "validating", "validating", 1, NOON, 1,
    )  # fmt: skip
    assert account(two.platform, BOB, *columns) == ("bob", "bob@example.org", "member", "enabled", 1, NOON, 1)


def test_a_confirmed_user_is_enabled_in_its_new_group(two: Given) -> None:
    two.facts(event(User.EmailVerified, ALICE, 2), event(User.GroupChanged, ALICE, 3, group="member", reason="r"))
    assert account(two.platform, ALICE, "group_slug", "state", "email_verified", "version") == (
        "member", "enabled", True, 3,
    )  # fmt: skip
    assert account(two.platform, BOB, "email_verified", "version") == (False, 1)


def test_a_disabled_user_stays_disabled_in_another_group(two: Given) -> None:
    position = two.facts(
        event(User.Disabled, BOB, 2, reason="spam"), event(User.GroupChanged, BOB, 3, group="elite", reason="r")
    )
    assert account(two.platform, BOB, "group_slug", "state", "changed_pos") == ("elite", "disabled", position)
    assert account(two.platform, ALICE, "state") == ("validating",)


def test_an_enabled_user_is_what_its_group_says(two: Given) -> None:
    for user in (ALICE, BOB):
        two.facts(event(User.Disabled, user, 2, reason="r"), event(User.Enabled, user, 3, reason="r"))
    assert account(two.platform, ALICE, "state") == ("validating",)
    assert account(two.platform, BOB, "state") == ("enabled",)


def test_passkeys_and_second_factors_are_those_of_one_user(two: Given) -> None:
    two.facts(
        event(User.PasskeyReset, BOB, 2, passkey_no=2),
        event(User.TwoFactorEnabled, BOB, 3),
        event(User.PasswordChanged, BOB, 4),
    )
    assert account(two.platform, BOB, "passkey_no", "two_factor", "version") == (2, True, 4)
    assert account(two.platform, ALICE, "passkey_no", "two_factor", "version") == (1, False, 1)
    two.facts(event(User.TwoFactorDisabled, BOB, 5))
    assert account(two.platform, BOB, "two_factor") == (False,)


def test_a_suspension_by_the_ratio_rule_says_why_until_it_ends(two: Given) -> None:
    figures = {"uploaded": 1, "downloaded": 2, "required_ratio_percent": 60}
    two.facts(event(User.LeechingSuspended, BOB, 2, reason="ratio below the required 0.60", **figures))
    columns = "leeching_suspended", "version"
    assert account(two.platform, BOB, *columns) == ("ratio below the required 0.60", 2)
    assert account(two.platform, ALICE, *columns) == (None, 1)
    position = two.facts(event(User.LeechingRestored, BOB, 3, reason="r"))
    assert account(two.platform, BOB, *columns, "changed_pos") == (None, 3, position)


def test_a_fact_about_nobody_stops_the_projection(two: Given) -> None:
    two.facts(event(User.Disabled, UUID(int=7), 1, reason="r"))
    assert two.platform.engine().drain(users) is Step.HALTED
    assert "MissingRow" in halted_error(two.platform, users)


def test_built_twice_it_is_the_same(two: Given) -> None:
    two.facts(event(User.Disabled, BOB, 2, reason="spam"), event(User.PasskeyReset, ALICE, 2, passkey_no=2))
    two.facts(event(User.Renamed, BOB, 3, username="robert", reason="asked for it"))
    projected(two.platform, users)
    projected(two.platform, users)
    found = [(t.table, t.rows, t.differences) for t in verify(two.platform, users)]
    assert found == [("account", 2, 0), ("former_username", 1, 0)]
