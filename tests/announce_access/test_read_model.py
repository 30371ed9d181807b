"""What the edge is told: whose keys work, who may download, which torrents are tracked, and where that changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain.groups import Group, group_id
from domain.torrents import Torrent
from domain.users import User
from projections.announce_access import announce_access
from runtime.rebuild import verify
from tests.given import Given, event, projected, rows_of

ALICE = UUID("0199a4f0-0000-7000-8000-000000000001")
BOB = UUID("0199a4f0-0000-7000-8000-000000000002")
FIRST = UUID("0199a4f0-0000-7000-8000-000000000011")
SECOND = UUID("0199a4f0-0000-7000-8000-000000000012")
V1, V2 = "11" * 20, "22" * 32

pytestmark = pytest.mark.engine


@pytest.fixture
def two(given: Given) -> Given:
    for slug, permissions in {
        "member": ["announce.leech", "announce.seed"],
        "seeder": ["announce.seed"],
        "banned": [],
    }.items():
        given.facts(
            event(Group.Founded, group_id(slug), slug=slug, name=slug.title(), level=100, permissions=permissions)
        )
    for user, name, group in ((ALICE, "alice", "member"), (BOB, "bob", "seeder")):
        given.facts(event(User.Registered, user, username=name, email=f"{name}@example.org", group=group))
    return given


def uploaded(torrent_id: UUID, v1: str | None, v2: str | None, size: int) -> Any:
    return event(
        Torrent.Uploaded, torrent_id, uploader_id=ALICE, name="n", description="d", category="c", tags=[],
        anonymous=False, info_hash_v1=v1, info_hash_v2=v2, size=size, piece_length=16384,
        file_paths=["f"], file_lengths=[size], metainfo_sha256="00" * 32,
    )  # fmt: skip


def access(given: Given, user_id: UUID) -> tuple[Any, ...]:
    """Whether the user's keys work, whether it may download, and where that changed last."""
    projected(given.platform, announce_access)
    (row,) = rows_of(
        given.platform, "SELECT enabled, can_leech, changed_pos FROM read.announce_user WHERE user_id = %s", [user_id]
    )
    return row


def tracked(given: Given, torrent_id: UUID) -> tuple[Any, ...]:
    projected(given.platform, announce_access)
    (row,) = rows_of(
        given.platform,
        "SELECT info_hash_v1, info_hash_v2, state, reason, size, changed_pos FROM read.announce_torrent"
        " WHERE torrent_id = %s",
        [torrent_id],
    )
    return row


def test_rights_come_from_the_group(two: Given) -> None:
    assert access(two, ALICE)[:2] == (True, True)
    assert access(two, BOB)[:2] == (True, False)


def test_a_disabled_user_is_told_to_the_edge_at_its_position(two: Given) -> None:
    before = access(two, BOB)
    position = two.facts(event(User.Disabled, ALICE, 2, reason="spam"))
    assert access(two, ALICE) == (False, True, position)
    assert access(two, BOB) == before
    position = two.facts(event(User.Enabled, ALICE, 3, reason="appeal"))
    assert access(two, ALICE) == (True, True, position)


def test_a_banned_group_closes_the_keys(two: Given) -> None:
    position = two.facts(event(User.GroupChanged, ALICE, 2, group="banned", reason="r"))
    assert access(two, ALICE) == (False, False, position)
    assert access(two, BOB)[0] is True


def test_a_group_that_loses_a_right_takes_it_from_its_members_only(two: Given) -> None:
    before = access(two, BOB)
    position = two.facts(event(Group.PermissionsChanged, group_id("member"), 2, permissions=["announce.seed"]))
    assert access(two, ALICE) == (True, False, position)
    assert access(two, BOB) == before


def test_a_change_that_the_edge_does_not_ask_for_touches_no_row(two: Given) -> None:
    before = access(two, ALICE)
    two.facts(
        event(
            Group.PermissionsChanged, group_id("member"), 2,
            permissions=["announce.leech", "announce.seed", "site.login"],
        )
    )  # fmt: skip
    assert access(two, ALICE) == before


def test_a_disabled_member_stays_out_when_its_group_gains_rights(two: Given) -> None:
    two.facts(event(User.Disabled, BOB, 2, reason="r"))
    two.facts(event(Group.PermissionsChanged, group_id("seeder"), 2, permissions=["announce.leech", "announce.seed"]))
    assert access(two, BOB)[:2] == (False, True)


def test_a_new_passkey_is_told(two: Given) -> None:
    position = two.facts(event(User.PasskeyReset, ALICE, 2, passkey_no=2))
    projected(two.platform, announce_access)
    rows = rows_of(two.platform, "SELECT user_id, passkey_no, changed_pos FROM read.announce_user ORDER BY user_id")
    assert rows[0] == (ALICE, 2, position)
    assert rows[1][:2] == (BOB, 1)


def test_torrents_carry_their_hashes_and_state(two: Given) -> None:
    two.facts(uploaded(FIRST, V1, None, 1000), uploaded(SECOND, "33" * 20, V2, 2**40))
    position = two.facts(event(Torrent.Approved, SECOND, 2, automatic=False))
    assert tracked(two, FIRST)[:5] == (bytes.fromhex(V1), None, "pending", "", 1000)
    assert tracked(two, SECOND) == (b"\x33" * 20, bytes.fromhex(V2), "approved", "", 2**40, position)


def test_a_rejection_and_a_deletion_carry_their_reason(two: Given) -> None:
    two.facts(uploaded(FIRST, V1, None, 1), uploaded(SECOND, None, V2, 2))
    two.facts(event(Torrent.Rejected, FIRST, 2, reason="no sample"), event(Torrent.Approved, SECOND, 2, automatic=True))
    assert tracked(two, FIRST)[2:4] == ("rejected", "no sample")
    two.facts(event(Torrent.Approved, FIRST, 3, automatic=False), event(Torrent.Deleted, SECOND, 3, reason="dupe"))
    assert tracked(two, FIRST)[2:4] == ("approved", "")
    assert tracked(two, SECOND)[2:4] == ("deleted", "dupe")


def test_what_the_edge_has_not_seen_is_found_by_position(two: Given) -> None:
    seen = max(access(two, ALICE)[2], access(two, BOB)[2])
    two.facts(event(User.Disabled, BOB, 2, reason="r"))
    projected(two.platform, announce_access)
    rows = rows_of(two.platform, "SELECT user_id FROM read.announce_user WHERE changed_pos > %s", [seen])
    assert rows == [(BOB,)]


def test_built_twice_it_is_the_same(two: Given) -> None:
    two.facts(
        uploaded(FIRST, V1, V2, 1), uploaded(SECOND, "44" * 20, None, 2), event(User.Disabled, BOB, 2, reason="r")
    )
    two.facts(event(Group.PermissionsChanged, group_id("member"), 2, permissions=[]))
    projected(two.platform, announce_access)
    projected(two.platform, announce_access)
    found = {t.table: (t.rows, t.differences) for t in verify(two.platform, announce_access)}
    assert found == {"announce_user": (2, 0), "announce_group": (3, 0), "announce_torrent": (2, 0)}
