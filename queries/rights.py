"""What may a user do, and where does each permission come from: now, or at any moment of the past?

The answer is replayed from the histories of the user, of its groups and of its own rights as they were then; only which
bans there are is asked of a read table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.rights import Rights, rights_id
from domain.users import User
from queries.bans import concerned
from queries.moments import as_of, facts_until, time
from runtime.facts import AnyFact
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, PlatformDep, ReadDb
from runtime.http.types import Id
from runtime.store import History, NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["rights"], route_class=StrictRoute)


class Source(BaseModel):
    """What gives a permission, or withholds it. `name` is the group's slug or the kind of the ban; who did it (`by`) is
    for staff; `until` is null for good."""

    kind: Literal["group", "secondary_group", "grant", "denial", "ban", "ratio_rule", "disabled"]
    name: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: UUID | None = None


class PermissionShown(BaseModel):
    """`held` is what counts: something gives it and nothing withholds it."""

    permission: str
    held: bool
    given_by: list[Source]
    withheld_by: list[Source]


class PermissionsShown(BaseModel):
    """Every permission that anything gave or withheld at that moment; `version` is of the user's own rights, for
    If-Match, and null where it has none."""

    user_id: UUID
    at: datetime
    group: str
    level: int
    secondary_groups: list[str]
    class_locked: bool
    items: list[PermissionShown]
    version: int | None


class _Ban(NamedTuple):
    kind: str
    takes: list[str]
    reason: str
    imposed_at: datetime
    imposed_by: UUID
    until: datetime | None


@dataclass(frozen=True)
class _Moment:
    """A user as it was, and all that decided about its permissions."""

    user: User
    rights: Rights
    rights_version: int  # 0 where it has none of its own
    groups: list[Group]  # its own first
    causes: dict[str, AnyFact]  # what last gave or took a permission or secondary group, by name
    bans: list[_Ban]
    at: datetime


@router.get("/{user_id}/permissions", dependencies=[fresh("bans", "users")])
def list_permissions(
    user_id: Id,
    staff: Annotated[bool, Depends(concerned)],
    platform: PlatformDep,
    db: ReadDb,
    now: Clock,
    at: Annotated[str | None, Query(max_length=40, description="a time; now unless given")] = None,
) -> PermissionsShown:
    """What a user may do and why, now or then; for the user and for staff."""
    moment = _moment(platform.history, db, user_id, now if at is None else time(at))
    return PermissionsShown(
        user_id=user_id,
        at=moment.at,
        group=moment.user.group,
        level=moment.groups[0].level,
        secondary_groups=moment.rights.groups(moment.at),
        class_locked=moment.rights.class_locked,
        items=list(_shown(moment, staff=staff)),
        version=moment.rights_version or None,
    )


def due_rights(db: Connection[Any], now: datetime, limit: int) -> list[tuple[UUID, int]]:
    """At most `limit` users of whose rights something is over that nobody recorded yet, and where the newest of that
    was given."""
    rows = db.execute(
        "SELECT user_id, max(changed_pos) FROM (SELECT user_id, until, changed_pos FROM read.permission_exception"
        " WHERE until <= %(now)s UNION ALL SELECT user_id, until, changed_pos FROM read.secondary_membership"
        " WHERE until <= %(now)s) due GROUP BY user_id ORDER BY min(until) LIMIT %(limit)s",
        {"now": now, "limit": limit},
    )
    return [(user_id, position) for user_id, position in rows.fetchall()]


def _moment(history: History, db: Connection[Any], user_id: UUID, at: datetime) -> _Moment:
    """Raises `NoSuchThing` for who had no account then."""
    user = as_of(history, User, user_id, at)
    if user is None:
        raise NoSuchThing("no such user")
    facts = facts_until(history, rights_id(user_id), at)
    rights: Rights | None = reduce(lambda found, fact: fact.event.mutate(found), facts, None)
    rights = rights or Rights.open(user_id)
    causes = {getattr(fact.event, "permission", "") or getattr(fact.event, "group", ""): fact for fact in facts}
    groups = [as_of(history, Group, group_id(slug), at) for slug in (user.group, *rights.groups(at))]
    bans = _bans(db, user_id, at)
    return _Moment(user, rights, len(facts), [group for group in groups if group], causes, bans, at)


def _bans(db: Connection[Any], user_id: UUID, at: datetime) -> list[_Ban]:
    """Those that held then."""
    with db.cursor(row_factory=class_row(_Ban)) as cursor:
        return cursor.execute(
            "SELECT kind, takes, reason, imposed_at, imposed_by, until FROM read.ban WHERE user_id = %(user)s"
            " AND imposed_at <= %(at)s AND (until IS NULL OR until > %(at)s)"
            " AND (ended_at IS NULL OR ended_at > %(at)s) ORDER BY ban_id",
            {"user": user_id, "at": at},
        ).fetchall()


def _shown(moment: _Moment, *, staff: bool) -> Iterator[PermissionShown]:
    for permission in Permission:
        given, withheld = list(_given_by(permission, moment)), list(_withheld_by(permission, moment))
        if given or withheld:
            for source in () if staff else (*given, *withheld):
                source.by = None
            yield PermissionShown(
                permission=permission, held=bool(given) and not withheld, given_by=given, withheld_by=withheld
            )


def _given_by(permission: str, moment: _Moment) -> Iterator[Source]:
    own, *secondary = moment.groups
    if permission in own.permissions:
        yield Source(kind="group", name=own.slug)
    for group in secondary:
        if permission in group.permissions:
            yield _caused("secondary_group", moment.causes[group.slug], name=group.slug)
    if permission in moment.rights.granted(moment.at):
        yield _caused("grant", moment.causes[permission])


def _withheld_by(permission: str, moment: _Moment) -> Iterator[Source]:
    if permission in moment.rights.denied(moment.at):
        yield _caused("denial", moment.causes[permission])
    for ban in moment.bans:
        if permission in ban.takes:
            yield Source(
                kind="ban",
                name=ban.kind,
                reason=ban.reason,
                since=ban.imposed_at,
                until=ban.until,
                by=ban.imposed_by,
            )
    if permission == Permission.LEECH and moment.user.leeching_suspended:
        yield Source(kind="ratio_rule")
    if not moment.user.enabled:
        yield Source(kind="disabled")


def _caused(kind: Literal["secondary_group", "grant", "denial"], fact: AnyFact, name: str | None = None) -> Source:
    event = fact.event
    return Source(kind=kind, name=name, reason=event.reason, since=fact.at, until=event.until, by=fact.actor_id)
