"""What the edge is told: whose keys work, who may download, which torrents are tracked, and where that changed."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from domain.announce_rules import ANNOUNCE_RULES, AnnounceRules
from domain.bans import Ban
from domain.client_rules import ClientRule
from domain.groups import Group, group_id
from domain.rights import Rights, rights_id
from domain.torrents import Torrent
from domain.users import User
from projections.announce_access import announce_access
from runtime.migrate import migrate, rollback
from runtime.rebuild import rebuild, verify
from tests.given import NOON, Given, event, projected, rows_of

ALICE = UUID("0199a4f0-0000-7000-8000-000000000001")
BOB = UUID("0199a4f0-0000-7000-8000-000000000002")
FIRST = UUID("0199a4f0-0000-7000-8000-000000000011")
SECOND = UUID("0199a4f0-0000-7000-8000-000000000012")
RULE = UUID("0199a4f0-0000-7000-8000-000000000021")
OTHER = UUID("0199a4f0-0000-7000-8000-000000000022")
V1, V2 = "11" * 20, "22" * 32
LATER = NOON + timedelta(days=1)
NO_RATIO = {"required_ratio_percent": 0, "ratio_counts_from_bytes": 5 * 1024**3}
EXCEPTION = {"peer_id_pattern": "-qB4250-", "agent_pattern": None, "comment": "cheats"}

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


def exception(user_id: UUID, permission: str) -> dict[str, Any]:
    return {"user_id": user_id, "permission": permission, "reason": "r", "until": None}


def given_group(user_id: UUID, group: str) -> dict[str, Any]:
    return {"user_id": user_id, "group": group, "reason": "r", "until": None}


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


def suspended(user_id: UUID, version: int) -> Any:
    figures = {"uploaded": 1, "downloaded": 2, "required_ratio_percent": 60}
    return event(User.LeechingSuspended, user_id, version, reason="ratio", **figures)


def test_who_is_suspended_by_the_ratio_rule_may_only_seed(two: Given) -> None:
    two.facts(event(User.GroupChanged, BOB, 2, group="member", reason="r"))
    before = access(two, BOB)
    position = two.facts(suspended(ALICE, 2))
    assert access(two, ALICE) == (True, False, position)
    assert access(two, BOB) == before
    position = two.facts(event(User.LeechingRestored, ALICE, 3, reason="r"))
    assert access(two, ALICE) == (True, True, position)


def test_a_group_that_gains_the_right_does_not_give_it_to_who_is_suspended(two: Given) -> None:
    two.facts(suspended(BOB, 2))
    two.facts(event(Group.PermissionsChanged, group_id("seeder"), 2, permissions=["announce.leech", "announce.seed"]))
    assert access(two, BOB)[:2] == (True, False)
    two.facts(event(User.LeechingRestored, BOB, 3, reason="r"))
    assert access(two, BOB)[:2] == access(two, ALICE)[:2] == (True, True)


def test_bans_and_the_ratio_rule_take_the_right_independently(two: Given) -> None:
    ban = UUID(int=31)
    two.facts(suspended(ALICE, 2), event(Ban.Imposed, ban, user_id=ALICE, kind="download", reason="r", until=None))
    two.facts(event(User.LeechingRestored, ALICE, 3, reason="r"))
    assert access(two, ALICE)[:2] == (True, False)
    two.facts(suspended(ALICE, 4), event(Ban.Lifted, ban, 2, user_id=ALICE, kind="download", reason="r"))
    assert access(two, ALICE)[:2] == (True, False)
    two.facts(event(User.LeechingRestored, ALICE, 5, reason="r"))
    assert access(two, ALICE)[:2] == (True, True)


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


def deletions(given: Given) -> list[tuple[Any, ...]]:
    projected(given.platform, announce_access)
    return rows_of(given.platform, "SELECT torrent_id, deleted_at FROM read.announce_torrent ORDER BY torrent_id")


def test_a_deletion_carries_its_time(two: Given) -> None:
    two.facts(uploaded(FIRST, V1, None, 1), uploaded(SECOND, None, V2, 2))
    two.facts(event(Torrent.Rejected, FIRST, 2, LATER, reason="r"))
    two.facts(event(Torrent.Deleted, SECOND, 2, LATER, reason="dupe"))
    assert deletions(two) == [(FIRST, None), (SECOND, LATER)]


def test_deletions_before_the_migration_get_their_time_too(two: Given, database: str) -> None:
    two.facts(uploaded(FIRST, V1, None, 1), uploaded(SECOND, None, V2, 2))
    two.facts(event(Torrent.Deleted, SECOND, 2, LATER, reason="dupe"))
    projected(two.platform, announce_access)
    names = [path.name for path in files("migrations").iterdir()]
    later = [name for name in names if name.endswith(".rollback.sql") and name >= "0017"]
    assert rollback(database, len(later)) == len(later)
    assert migrate(database) == len(later)
    assert rows_of(two.platform, "SELECT torrent_id, deleted_at FROM read.announce_torrent ORDER BY torrent_id") == [
        (FIRST, None),
        (SECOND, LATER),
    ]


def slots(given: Given) -> list[tuple[Any, ...]]:
    projected(given.platform, announce_access)
    return rows_of(given.platform, "SELECT download_slots, changed_pos FROM read.announce_user ORDER BY user_id")


def test_slots_come_from_the_group(two: Given) -> None:
    (_, _), before = slots(two)
    assert before[0] is None
    position = two.facts(event(Group.DownloadSlotsChanged, group_id("member"), 2, download_slots=5))
    assert slots(two) == [(5, position), before]
    moved = two.facts(event(User.GroupChanged, BOB, 2, group="member", reason="r"))
    assert slots(two) == [(5, position), (5, moved)]
    again = two.facts(event(Group.DownloadSlotsChanged, group_id("member"), 3, download_slots=None))
    assert slots(two) == [(None, again), (None, again)]
    assert access(two, ALICE)[:2] == access(two, BOB)[:2] == (True, True)


def terms(name: str, **changed: Any) -> dict[str, Any]:
    fields = {
        "name": name,
        "peer_id_pattern": "-qB{x}{x}{x}{x}-",
        "agent_pattern": None,
        "peer_id_minimum": [4, 2],
        "agent_minimum": [],
        "reason": None,
        "exceptions": [EXCEPTION],
    }
    return {**fields, **changed}


def client_rules(given: Given) -> list[tuple[Any, ...]]:
    projected(given.platform, announce_access)
    return rows_of(
        given.platform,
        "SELECT rule_id, kind, name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum, reason,"
        " exceptions, withdrawn, version, changed_pos FROM read.announce_client_rule ORDER BY rule_id",
    )


def test_client_rules_change_one_at_a_time(two: Given) -> None:
    denial = terms("XL", peer_id_minimum=[], reason="no", exceptions=[])
    first = two.facts(event(ClientRule.Defined, RULE, kind="allow", **terms("qB")))
    second = two.facts(event(ClientRule.Defined, OTHER, kind="deny", **denial))
    qb: tuple[Any, ...] = (
        RULE,
        "allow",
        "qB",
        "-qB{x}{x}{x}{x}-",
        None,
        [4, 2],
        [],
        None,
        [EXCEPTION],
        False,
        1,
        first,
    )
    xl: tuple[Any, ...] = (OTHER, "deny", "XL", "-qB{x}{x}{x}{x}-", None, [], [], "no", [], False, 1, second)
    assert client_rules(two) == [qb, xl]
    changed = terms("qBt", peer_id_pattern=None, agent_pattern="{n}", peer_id_minimum=[], agent_minimum=[5])
    position = two.facts(event(ClientRule.Changed, RULE, 2, **changed))
    qb = (RULE, "allow", "qBt", None, "{n}", [], [5], None, [EXCEPTION], False, 2, position)
    assert client_rules(two) == [qb, xl]
    position = two.facts(event(ClientRule.Withdrawn, OTHER, 2))
    assert client_rules(two) == [qb, (*xl[:-3], True, 2, position)]


def test_announce_rules_are_replaced_whole(two: Given) -> None:
    other = UUID(int=9)
    columns = (
        "SELECT rules_id, refused_ports, peers_per_torrent, required_ratio_percent, ratio_counts_from_bytes, version,"
        " changed_pos FROM read.announce_rules"
    )
    ratio = {"required_ratio_percent": 60, "ratio_counts_from_bytes": 0}
    before = event(AnnounceRules.Changed, ANNOUNCE_RULES, refused_ports=[8080], peers_per_torrent=3, **ratio)
    after = event(AnnounceRules.Changed, ANNOUNCE_RULES, 2, refused_ports=[1214], peers_per_torrent=1, **NO_RATIO)
    first = two.facts(before)
    second = two.facts(event(AnnounceRules.Changed, other, refused_ports=[], peers_per_torrent=9, **ratio))
    third = two.facts(after)
    assert first < second < third
    projected(two.platform, announce_access)
    assert sorted(rows_of(two.platform, columns)) == sorted(
        [(other, [], 9, 60, 0, 1, second), (ANNOUNCE_RULES, [1214], 1, 0, 5 * 1024**3, 2, third)]
    )


def test_what_the_edge_has_not_seen_is_found_by_position(two: Given) -> None:
    seen = max(access(two, ALICE)[2], access(two, BOB)[2])
    two.facts(event(User.Disabled, BOB, 2, reason="r"))
    projected(two.platform, announce_access)
    rows = rows_of(two.platform, "SELECT user_id FROM read.announce_user WHERE changed_pos > %s", [seen])
    assert rows == [(BOB,)]


def test_a_group_beside_its_own_adds_to_what_a_user_may_do(two: Given) -> None:
    stream = rights_id(BOB)
    position = two.facts(event(Rights.SecondaryGroupGiven, stream, **given_group(BOB, "member")))
    assert access(two, BOB) == (True, True, position)
    assert access(two, ALICE)[:2] == (True, True)
    position = two.facts(event(Group.PermissionsChanged, group_id("member"), 2, permissions=[]))
    assert access(two, BOB) == (True, False, position)
    assert access(two, ALICE) == (False, False, position)
    position = two.facts(event(Group.PermissionsChanged, group_id("member"), 3, permissions=["announce.leech"]))
    assert access(two, BOB) == (True, True, position)
    position = two.facts(event(Rights.SecondaryGroupTaken, stream, 2, user_id=BOB, group="member", reason="r"))
    assert access(two, BOB) == (True, False, position)


def test_a_users_own_rights_win_over_its_groups_and_bans_over_those(two: Given) -> None:
    stream = rights_id(BOB)
    position = two.facts(event(Rights.PermissionGranted, stream, **exception(BOB, "announce.leech")))
    assert access(two, BOB) == (True, True, position)
    assert access(two, ALICE)[:2] == (True, True)
    ban = event(Ban.Imposed, FIRST, user_id=BOB, kind="download", reason="r", until=None)
    two.facts(ban)
    assert access(two, BOB)[:2] == (True, False)
    two.facts(event(Ban.Lifted, FIRST, 2, user_id=BOB, kind="download", reason="r"))
    assert access(two, BOB)[:2] == (True, True)
    two.facts(event(Rights.PermissionDenied, stream, 2, **exception(BOB, "announce.seed")))
    assert access(two, BOB)[:2] == (False, True)
    two.facts(event(Rights.SecondaryGroupGiven, stream, 3, **given_group(BOB, "member")))
    assert access(two, BOB)[:2] == (False, True)
    two.facts(event(Rights.ExceptionExpired, stream, 4, user_id=BOB, permission="announce.seed"))
    assert access(two, BOB)[:2] == (True, True)
    before = access(two, BOB)
    two.facts(event(Rights.PermissionDenied, stream, 5, **exception(BOB, "community.post")))  # not the edge's business
    assert access(two, BOB) == before


def test_built_twice_it_is_the_same(two: Given) -> None:
    two.facts(
        uploaded(FIRST, V1, V2, 1), uploaded(SECOND, "44" * 20, None, 2), event(User.Disabled, BOB, 2, reason="r")
    )
    two.facts(event(Group.PermissionsChanged, group_id("member"), 2, permissions=[]))
    two.facts(event(Group.DownloadSlotsChanged, group_id("member"), 3, download_slots=5))
    two.facts(event(Torrent.Deleted, FIRST, 2, LATER, reason="dupe"))
    two.facts(event(ClientRule.Defined, RULE, kind="allow", **terms("qB")))
    two.facts(event(ClientRule.Defined, OTHER, kind="allow", **terms("TR")), event(ClientRule.Withdrawn, OTHER, 2))
    for n in (1, 2):
        two.facts(event(AnnounceRules.Changed, ANNOUNCE_RULES, n, refused_ports=[n], peers_per_torrent=n, **NO_RATIO))
    two.facts(event(Rights.SecondaryGroupGiven, rights_id(BOB), **given_group(BOB, "member")))
    two.facts(event(Rights.PermissionDenied, rights_id(BOB), 2, **exception(BOB, "announce.leech")))
    two.facts(suspended(ALICE, 2), suspended(BOB, 3), event(User.LeechingRestored, BOB, 4, reason="r"))
    projected(two.platform, announce_access)
    projected(two.platform, announce_access)
    rows = {"announce_user": 2, "announce_group": 3, "announce_torrent": 2, "announce_client_rule": 2,
            "announce_rules": 1, "announce_membership": 1}  # fmt: skip
    assert {t.table: (t.rows, t.differences) for t in verify(two.platform, announce_access)} == {
        table: (count, 0) for table, count in rows.items()
    }
    rebuild(two.platform, announce_access)
    assert {t.table: t.rows for t in verify(two.platform, announce_access)} == rows
