"""What the announce edge checks: whose key opens what, which torrents are tracked, by which rules. Rows say where they
changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from domain.announce_rules import AnnounceRules
from domain.bans import Ban, BanKind
from domain.client_rules import ClientRule
from domain.groups import Group
from domain.parking import Parking
from domain.permissions import Permission
from domain.rights import Rights
from domain.torrents import Torrent, TorrentState
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

announce_access = Projection(
    "announce_access",
    "announce_user",
    "announce_group",
    "announce_membership",
    "announce_torrent",
    "announce_client_rule",
    "announce_rules",
)

#: Whether a group beside the user's own lets it do that.
_SECONDARY: LiteralString = (
    "EXISTS (SELECT FROM announce_membership m JOIN announce_group s ON s.slug = m.group_slug"
    " WHERE m.user_id = u.user_id AND s.{right})"
)
#: What a user `u` of a group `g` may do: as `domain.rights.effective` has it.
_MAY_SEED: LiteralString = "coalesce(u.seed_exception, g.can_seed OR " + _SECONDARY.format(right="can_seed") + ")"
_MAY_LEECH: LiteralString = "coalesce(u.leech_exception, g.can_leech OR " + _SECONDARY.format(right="can_leech") + ")"
_ENABLED: LiteralString = f"(u.active AND NOT u.parked AND NOT u.account_banned AND {_MAY_SEED})"
_CAN_LEECH: LiteralString = f"({_MAY_LEECH} AND NOT u.download_banned AND NOT u.leeching_suspended)"
_RIGHTS: LiteralString = f"enabled = {_ENABLED}, can_leech = {_CAN_LEECH}, download_slots = g.download_slots"
#: What the edge has to know of a user's own rights, and where that is kept.
_EXCEPTIONS: dict[str, LiteralString] = {Permission.SEED: "seed_exception", Permission.LEECH: "leech_exception"}
#: What the edge has to know of a ban: other kinds are none of its business.
_MARKS: dict[str, LiteralString] = {BanKind.ACCOUNT: "account_banned", BanKind.DOWNLOAD: "download_banned"}


@announce_access.on(Group.Founded)
def founded(fact: Fact[Group.Founded], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_group (slug, group_id, can_seed, can_leech) VALUES (%s, %s, %s, %s)",
        (fact.event.slug, fact.stream_id, *_rights(fact.event.permissions)),
    )


@announce_access.on(Group.PermissionsChanged)
def permissions_changed(fact: Fact[Group.PermissionsChanged], db: Writer) -> None:
    db.update(
        "UPDATE announce_group SET can_seed = %s, can_leech = %s WHERE group_id = %s",
        (*_rights(fact.event.permissions), fact.stream_id),
    )
    _apply_group_rights(fact, db)


@announce_access.on(Group.DownloadSlotsChanged)
def download_slots_changed(fact: Fact[Group.DownloadSlotsChanged], db: Writer) -> None:
    db.update(
        "UPDATE announce_group SET download_slots = %s WHERE group_id = %s",
        (fact.event.download_slots, fact.stream_id),
    )
    _apply_group_rights(fact, db)


@announce_access.on(User.Registered)
def registered(fact: Fact[User.Registered], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_user (user_id, passkey_no, enabled, can_leech, changed_pos, active, group_slug)"
        " VALUES (%s, 1, false, false, %s, true, %s)",
        (fact.stream_id, fact.position, fact.event.group),
    )
    _apply_rights(fact.stream_id, fact.position, db)


@announce_access.on(User.GroupChanged)
def group_changed(fact: Fact[User.GroupChanged], db: Writer) -> None:
    db.update("UPDATE announce_user SET group_slug = %s WHERE user_id = %s", (fact.event.group, fact.stream_id))
    _apply_rights(fact.stream_id, fact.position, db)


@announce_access.on(User.Disabled)
def disabled(fact: Fact[User.Disabled], db: Writer) -> None:
    db.update("UPDATE announce_user SET active = false WHERE user_id = %s", (fact.stream_id,))
    _apply_rights(fact.stream_id, fact.position, db)


@announce_access.on(User.Enabled)
def enabled(fact: Fact[User.Enabled], db: Writer) -> None:
    db.update("UPDATE announce_user SET active = true WHERE user_id = %s", (fact.stream_id,))
    _apply_rights(fact.stream_id, fact.position, db)


@announce_access.on(Parking.Parked)
def parked(fact: Fact[Parking.Parked], db: Writer) -> None:
    _park(fact, True, db)


@announce_access.on(Parking.Unparked)
def unparked(fact: Fact[Parking.Unparked], db: Writer) -> None:
    _park(fact, False, db)


@announce_access.on(User.LeechingSuspended)
def leeching_suspended(fact: Fact[User.LeechingSuspended], db: Writer) -> None:
    _suspend(fact, True, db)


@announce_access.on(User.LeechingRestored)
def leeching_restored(fact: Fact[User.LeechingRestored], db: Writer) -> None:
    _suspend(fact, False, db)


@announce_access.on(Ban.Imposed)
def ban_imposed(fact: Fact[Ban.Imposed], db: Writer) -> None:
    _mark(fact, True, db)


@announce_access.on(Ban.Lifted, Ban.Expired)
def ban_ended(fact: AnyFact, db: Writer) -> None:
    _mark(fact, False, db)


@announce_access.on(Rights.PermissionGranted)
def permission_granted(fact: Fact[Rights.PermissionGranted], db: Writer) -> None:
    _except(fact, True, db)


@announce_access.on(Rights.PermissionDenied)
def permission_denied(fact: Fact[Rights.PermissionDenied], db: Writer) -> None:
    _except(fact, False, db)


@announce_access.on(Rights.ExceptionWithdrawn, Rights.ExceptionExpired)
def exception_ended(fact: AnyFact, db: Writer) -> None:
    _except(fact, None, db)


@announce_access.on(Rights.SecondaryGroupGiven)
def secondary_group_given(fact: Fact[Rights.SecondaryGroupGiven], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_membership (user_id, group_slug) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (fact.event.user_id, fact.event.group),
    )
    _apply_rights(fact.event.user_id, fact.position, db)


@announce_access.on(Rights.SecondaryGroupTaken, Rights.SecondaryGroupExpired)
def secondary_group_ended(fact: AnyFact, db: Writer) -> None:
    db.update(
        "DELETE FROM announce_membership WHERE user_id = %s AND group_slug = %s",
        (fact.event.user_id, fact.event.group),
    )
    _apply_rights(fact.event.user_id, fact.position, db)


@announce_access.on(User.PasskeyReset)
def passkey_reset(fact: Fact[User.PasskeyReset], db: Writer) -> None:
    db.update(
        "UPDATE announce_user SET passkey_no = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.passkey_no, fact.position, fact.stream_id),
    )


@announce_access.on(Torrent.Uploaded)
def uploaded(fact: Fact[Torrent.Uploaded], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_torrent (torrent_id, info_hash_v1, info_hash_v2, state, reason, size, changed_pos)"
        " VALUES (%s, %s, %s, %s, '', %s, %s)",
        (
            fact.stream_id,
            _bytes(fact.event.info_hash_v1),
            _bytes(fact.event.info_hash_v2),
            TorrentState.PENDING,
            fact.event.size,
            fact.position,
        ),
    )


@announce_access.on(Torrent.Approved)
def approved(fact: Fact[Torrent.Approved], db: Writer) -> None:
    _change_state(fact, TorrentState.APPROVED, "", db)


@announce_access.on(Torrent.Rejected)
def rejected(fact: Fact[Torrent.Rejected], db: Writer) -> None:
    _change_state(fact, TorrentState.REJECTED, fact.event.reason, db)


@announce_access.on(Torrent.Deleted)
def deleted(fact: Fact[Torrent.Deleted], db: Writer) -> None:
    _change_state(fact, TorrentState.DELETED, fact.event.reason, db, deleted_at=fact.at)


@announce_access.on(ClientRule.Defined)
def client_rule_defined(fact: Fact[ClientRule.Defined], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_client_rule (kind, name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum,"
        " reason, exceptions, withdrawn, version, changed_pos, rule_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false, %s, %s, %s)",
        (fact.event.kind, *_terms(fact), fact.version, fact.position, fact.stream_id),
    )


@announce_access.on(ClientRule.Changed)
def client_rule_changed(fact: Fact[ClientRule.Changed], db: Writer) -> None:
    db.update(
        "UPDATE announce_client_rule SET name = %s, peer_id_pattern = %s, agent_pattern = %s, peer_id_minimum = %s,"
        " agent_minimum = %s, reason = %s, exceptions = %s, version = %s, changed_pos = %s WHERE rule_id = %s",
        (*_terms(fact), fact.version, fact.position, fact.stream_id),
    )


@announce_access.on(ClientRule.Withdrawn)
def client_rule_withdrawn(fact: Fact[ClientRule.Withdrawn], db: Writer) -> None:
    db.update(
        "UPDATE announce_client_rule SET withdrawn = true, version = %s, changed_pos = %s WHERE rule_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@announce_access.on(AnnounceRules.Changed)
def announce_rules_changed(fact: Fact[AnnounceRules.Changed], db: Writer) -> None:
    db.execute(
        "INSERT INTO announce_rules (rules_id, refused_ports, peers_per_torrent, required_ratio_percent,"
        " ratio_counts_from_bytes, version, changed_pos) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (rules_id) DO UPDATE SET refused_ports = excluded.refused_ports,"
        " peers_per_torrent = excluded.peers_per_torrent, required_ratio_percent = excluded.required_ratio_percent,"
        " ratio_counts_from_bytes = excluded.ratio_counts_from_bytes, version = excluded.version,"
        " changed_pos = excluded.changed_pos",
        (
            fact.stream_id,
            fact.event.refused_ports,
            fact.event.peers_per_torrent,
            fact.event.required_ratio_percent,
            fact.event.ratio_counts_from_bytes,
            fact.version,
            fact.position,
        ),
    )


def _bytes(hexadecimal: str | None) -> bytes | None:
    return None if hexadecimal is None else bytes.fromhex(hexadecimal)


def _rights(permissions: Sequence[str]) -> tuple[bool, bool]:
    return Permission.SEED in permissions, Permission.LEECH in permissions


def _apply_rights(user_id: UUID, position: int, db: Writer) -> None:
    db.update(
        f"UPDATE announce_user u SET {_RIGHTS}, changed_pos = %s"
        " FROM announce_group g WHERE g.slug = u.group_slug AND u.user_id = %s",
        (position, user_id),
    )


def _apply_group_rights(fact: AnyFact, db: Writer) -> None:
    """Members whose rights stay as they were stay untouched: the edge reads every changed row."""
    db.execute(
        f"UPDATE announce_user u SET {_RIGHTS}, changed_pos = %s"
        " FROM announce_group g WHERE g.slug = u.group_slug AND (g.group_id = %s OR u.user_id IN"
        "  (SELECT m.user_id FROM announce_membership m JOIN announce_group s ON s.slug = m.group_slug"
        "   WHERE s.group_id = %s))"
        " AND (u.enabled, u.can_leech, u.download_slots)"
        f" IS DISTINCT FROM ({_ENABLED}, {_CAN_LEECH}, g.download_slots)",
        (fact.position, fact.stream_id, fact.stream_id),
    )


def _except(fact: AnyFact, granted: bool | None, db: Writer) -> None:
    """The groups decide again where `granted` is None."""
    if fact.event.permission not in _EXCEPTIONS:
        return
    exception = _EXCEPTIONS[fact.event.permission]
    db.update(f"UPDATE announce_user SET {exception} = %s WHERE user_id = %s", (granted, fact.event.user_id))
    _apply_rights(fact.event.user_id, fact.position, db)


def _park(fact: AnyFact, parked: bool, db: Writer) -> None:
    db.update("UPDATE announce_user SET parked = %s WHERE user_id = %s", (parked, fact.event.user_id))
    _apply_rights(fact.event.user_id, fact.position, db)


def _suspend(fact: AnyFact, suspended: bool, db: Writer) -> None:
    db.update("UPDATE announce_user SET leeching_suspended = %s WHERE user_id = %s", (suspended, fact.stream_id))
    _apply_rights(fact.stream_id, fact.position, db)


def _mark(fact: AnyFact, banned: bool, db: Writer) -> None:
    """A user has at most one ban of a kind at a time, so each is a mark that is set or not."""
    if fact.event.kind not in _MARKS:
        return
    mark = _MARKS[fact.event.kind]
    db.update(f"UPDATE announce_user SET {mark} = %s WHERE user_id = %s", (banned, fact.event.user_id))
    _apply_rights(fact.event.user_id, fact.position, db)


def _change_state(
    fact: AnyFact, state: TorrentState, reason: str, db: Writer, *, deleted_at: datetime | None = None
) -> None:
    db.update(
        "UPDATE announce_torrent SET state = %s, reason = %s, deleted_at = %s, changed_pos = %s WHERE torrent_id = %s",
        (state, reason, deleted_at, fact.position, fact.stream_id),
    )


def _terms(fact: AnyFact) -> tuple[object, ...]:
    event = fact.event
    return (
        event.name,
        event.peer_id_pattern,
        event.agent_pattern,
        event.peer_id_minimum,
        event.agent_minimum,
        event.reason,
        Jsonb(event.exceptions),
    )
