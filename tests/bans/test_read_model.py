"""Bans of two users as they are shown and as the edge is told of them, from events, and built again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.bans import Ban
from domain.groups import Group, group_id
from domain.users import User
from projections.announce_access import announce_access
from projections.bans import bans
from runtime.rebuild import verify
from tests.given import ACTOR, NOON, Given, event, projected, rows_of

ALICE, BOB = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2))
FIRST, SECOND = (UUID(f"0199a4f0-0000-7000-8000-00000000001{n}") for n in (1, 2))
LATER = NOON + timedelta(hours=1)

pytestmark = pytest.mark.engine


@pytest.fixture
def two(given: Given) -> Given:
    permissions = ["announce.leech", "announce.seed"]
    given.facts(event(Group.Founded, group_id("member"), slug="member", name="M", level=100, permissions=permissions))
    for user, name in ((ALICE, "alice"), (BOB, "bob")):
        given.facts(event(User.Registered, user, username=name, email=f"{name}@example.org", group="member"))
    return given


def imposed(ban_id: UUID, user_id: UUID, kind: str, **fields: Any) -> Any:
    return event(Ban.Imposed, ban_id, user_id=user_id, kind=kind, **({"reason": "r", "until": None} | fields))


def shown(given: Given, ban_id: UUID, *columns: str) -> tuple[Any, ...]:
    projected(given.platform, bans)
    (row,) = rows_of(given.platform, f"SELECT {', '.join(columns)} FROM read.ban WHERE ban_id = %s", [ban_id])
    return row


def access(given: Given, user_id: UUID) -> tuple[Any, ...]:
    projected(given.platform, announce_access)
    (row,) = rows_of(
        given.platform, "SELECT enabled, can_leech, changed_pos FROM read.announce_user WHERE user_id = %s", [user_id]
    )
    return row


def test_a_ban_is_shown_with_what_it_takes(two: Given) -> None:
    position = two.facts(imposed(FIRST, ALICE, "upload", reason="fakes", until=LATER))
    two.facts(imposed(SECOND, BOB, "download"))
    columns = "user_id", "kind", "takes", "state", "reason", "imposed_by", "imposed_at", "until", "changed_pos"
    assert shown(two, FIRST, *columns) == (
        ALICE, "upload", ["torrents.upload", "torrents.upload_trusted"], "active", "fakes", ACTOR, NOON, LATER,
        position,
    )  # fmt: skip
    assert shown(two, SECOND, "user_id", "takes", "until") == (BOB, ["announce.leech"], None)


def test_a_ban_that_ended_says_how(two: Given) -> None:
    two.facts(imposed(FIRST, ALICE, "post", until=LATER), imposed(SECOND, BOB, "post"))
    two.facts(event(Ban.Expired, FIRST, 2, LATER, user_id=ALICE, kind="post"))
    columns = "state", "lift_reason", "ended_by", "ended_at", "version"
    assert shown(two, FIRST, *columns) == ("expired", None, None, LATER, 2)
    assert shown(two, SECOND, *columns) == ("active", None, None, None, 1)
    two.facts(event(Ban.Lifted, SECOND, 2, LATER, user_id=BOB, kind="post", reason="appeal"))
    assert shown(two, SECOND, *columns) == ("lifted", "appeal", ACTOR, LATER, 2)


@pytest.mark.parametrize(("kind", "banned"), [("account", (False, True)), ("download", (True, False))])
def test_the_edge_is_told_of_a_ban_and_of_its_end(two: Given, kind: str, banned: tuple[bool, bool]) -> None:
    before = access(two, BOB)
    position = two.facts(imposed(FIRST, ALICE, kind))
    assert access(two, ALICE) == (*banned, position)
    position = two.facts(event(Ban.Lifted, FIRST, 2, user_id=ALICE, kind=kind, reason="r"))
    assert access(two, ALICE) == (True, True, position)
    two.facts(imposed(SECOND, ALICE, kind, until=LATER))
    assert access(two, ALICE)[:2] == banned
    position = two.facts(event(Ban.Expired, SECOND, 2, LATER, user_id=ALICE, kind=kind))
    assert access(two, ALICE) == (True, True, position)
    assert access(two, BOB) == before


@pytest.mark.parametrize("kind", ["upload", "post", "request", "invite", "report"])
def test_the_edge_is_not_told_of_other_kinds(two: Given, kind: str) -> None:
    before = access(two, ALICE)
    two.facts(imposed(FIRST, ALICE, kind))
    assert access(two, ALICE) == before


def test_two_bans_at_once_are_lifted_apart(two: Given) -> None:
    two.facts(imposed(FIRST, ALICE, "account"), imposed(SECOND, ALICE, "download"))
    assert access(two, ALICE)[:2] == (False, False)
    two.facts(event(Ban.Lifted, FIRST, 2, user_id=ALICE, kind="account", reason="r"))
    assert access(two, ALICE)[:2] == (True, False)


def test_a_ban_outlasts_what_else_changes_rights(two: Given) -> None:
    two.facts(imposed(FIRST, ALICE, "account"), imposed(SECOND, BOB, "download"))
    two.facts(event(User.Disabled, ALICE, 2, reason="r"), event(User.Enabled, ALICE, 3, reason="r"))
    two.facts(event(Group.PermissionsChanged, group_id("member"), 2, permissions=[]))
    two.facts(
        event(Group.PermissionsChanged, group_id("member"), 3, permissions=["announce.leech", "announce.seed"]),
        event(User.GroupChanged, BOB, 2, group="member", reason="r"),
    )
    assert access(two, ALICE)[:2] == (False, True)
    assert access(two, BOB)[:2] == (True, False)


def test_running_twice_and_rebuilding_give_the_same_tables(two: Given) -> None:
    two.facts(imposed(FIRST, ALICE, "account", until=LATER), imposed(SECOND, BOB, "download"))
    two.facts(event(Ban.Lifted, SECOND, 2, user_id=BOB, kind="download", reason="r"))
    for _ in range(2):
        projected(two.platform, bans, announce_access)
    assert [(t.table, t.rows, t.differences) for t in verify(two.platform, bans)] == [("ban", 2, 0)]
    assert sum(t.differences for t in verify(two.platform, announce_access)) == 0
