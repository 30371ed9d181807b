"""When uploads and downloads count otherwise than in full: windows of time that events open and end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from domain.factors import Window
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.torrents import Torrent
from domain.users import User
from projections.peers.projection import peers
from projections.peers.rows import hexes
from runtime.db import Writer
from runtime.facts import AnyFact, Fact


@peers.on(Torrent.FreeleechGranted)
def freeleech_granted(fact: Fact[Torrent.FreeleechGranted], db: Writer) -> None:
    _end_window(db, fact)  # the newest grant alone says until when
    db.execute(
        "INSERT INTO free_window (subject_id, position, starts_at, ends_at) VALUES (%s, %s, %s, %s)",
        (fact.stream_id, fact.position, fact.at, fact.event.until),
    )


@peers.on(Torrent.FreeleechEnded)
def freeleech_ended(fact: Fact[Torrent.FreeleechEnded], db: Writer) -> None:
    _end_window(db, fact)


@peers.on(Group.Founded)
def group_founded(fact: Fact[Group.Founded], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_group (group_id, free) VALUES (%s, %s)",
        (fact.stream_id, Permission.FREELEECH in fact.event.permissions),
    )


@peers.on(Group.PermissionsChanged)
def permissions_changed(fact: Fact[Group.PermissionsChanged], db: Writer) -> None:
    db.update(
        "UPDATE credit_group SET free = %s WHERE group_id = %s",
        (Permission.FREELEECH in fact.event.permissions, fact.stream_id),
    )
    _follow_perk(db, fact)


@peers.on(User.Registered)
def user_registered(fact: Fact[User.Registered], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_member (user_id, group_id) VALUES (%s, %s)", (fact.stream_id, group_id(fact.event.group))
    )
    _follow_perk(db, fact)


@peers.on(User.GroupChanged)
def group_changed(fact: Fact[User.GroupChanged], db: Writer) -> None:
    db.update("UPDATE credit_member SET group_id = %s WHERE user_id = %s", (group_id(fact.event.group), fact.stream_id))
    _follow_perk(db, fact)


def _end_window(db: Writer, fact: AnyFact) -> None:
    db.execute(
        "UPDATE free_window SET ends_at = greatest(starts_at, %s)"
        " WHERE subject_id = %s AND (ends_at IS NULL OR ends_at > %s)",
        (fact.at, fact.stream_id, fact.at),
    )


def _follow_perk(db: Writer, fact: AnyFact) -> None:
    """Open or end the windows of the one user or of all members of the one group that the fact is about."""
    about = fact.stream_id, fact.stream_id
    db.execute(
        "INSERT INTO free_window (subject_id, position, starts_at)"
        " SELECT m.user_id, %s, %s FROM credit_member m JOIN credit_group g ON g.group_id = m.group_id AND g.free"
        " WHERE (m.user_id = %s OR m.group_id = %s) AND NOT EXISTS"
        "  (SELECT FROM free_window w WHERE w.subject_id = m.user_id AND w.ends_at IS NULL)",
        (fact.position, fact.at, *about),
    )
    db.execute(
        "UPDATE free_window w SET ends_at = greatest(w.starts_at, %s)"
        " FROM credit_member m LEFT JOIN credit_group g ON g.group_id = m.group_id"
        " WHERE w.subject_id = m.user_id AND w.ends_at IS NULL AND (m.user_id = %s OR m.group_id = %s)"
        " AND NOT coalesce(g.free, false)",
        (fact.at, *about),
    )


def windows(db: Writer, subjects: Iterable[bytes], since_us: int) -> dict[bytes, list[Window]]:
    rows = db.rows(
        "SELECT uuid_send(subject_id), (extract(epoch FROM starts_at) * 1000000)::bigint,"
        " (extract(epoch FROM ends_at) * 1000000)::bigint FROM free_window WHERE subject_id = ANY(%s::uuid[])"
        " AND (ends_at IS NULL OR ends_at > timestamptz 'epoch' + %s * interval '1 microsecond')",
        (hexes(subjects), since_us),
    )
    found: defaultdict[bytes, list[Window]] = defaultdict(list)
    for subject_id, start, end in rows:
        found[subject_id].append((start, end))
    return found
