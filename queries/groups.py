"""Which groups are there, what may their members do, and how did that come about?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.groups import Group, group_id
from domain.permissions import Permission
from queries.people import Person, people
from runtime.facts import AnyFact, FactLog
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Member, PlatformDep, ReadDb, Requires, read_db
from runtime.http.pages import Page
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/groups", tags=["groups"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.GROUPS_MANAGE)]

#: For what reads the event store first: nobody waits for one connection while holding another.
reading = contextmanager(read_db)


class CriteriaShown(BaseModel):
    """What is asked of members of the group `follows` who are promoted: bytes, percent, days, torrents, seconds; what
    is 0 is not asked. Below `keep_ratio_percent` the class is lost."""

    follows: str
    uploaded: int
    ratio_percent: int
    age_days: int
    uploads: int
    seed_size: int
    average_seed_time_s: int
    keep_ratio_percent: int


class GroupItem(BaseModel):
    """One rung of the ladder; `download_slots` is null without a limit, `secondary` groups are given beside another,
    `version` is for If-Match."""

    id: UUID
    slug: str
    name: str
    level: int
    permissions: list[str]
    download_slots: int | None
    monthly_invites: int
    secondary: bool
    promotion: CriteriaShown | None
    version: int


class GroupStep(BaseModel):
    """What changed in a group, and what it was from then on."""

    version: int
    at: datetime
    by: Person
    type: str
    name: str
    level: int
    permissions: list[str]
    added: list[str]
    removed: list[str]
    download_slots: int | None
    monthly_invites: int
    secondary: bool
    promotion: CriteriaShown | None


class GroupHistory(BaseModel):
    """Oldest first."""

    items: list[GroupStep]


@router.get("", dependencies=[fresh("groups")])
def list_groups(caller: Member, db: ReadDb) -> Page[GroupItem]:
    """Every group, lowest level first."""
    with db.cursor(row_factory=class_row(GroupItem)) as cursor:
        rows = cursor.execute(
            "SELECT g.group_id AS id, g.slug, g.name, g.level, g.permissions, g.download_slots, g.monthly_invites,"
            " g.secondary, g.version, CASE WHEN c.slug IS NOT NULL THEN to_jsonb(c) END AS promotion"
            " FROM user_group g LEFT JOIN promotion_criteria c USING (slug) ORDER BY g.level, g.slug"
        ).fetchall()
    return Page(items=rows)


@router.get("/{slug}/history", dependencies=[fresh("users")])
def get_group_history(slug: str, staff: Manager, platform: PlatformDep) -> GroupHistory:
    """Every change of a group with what it was afterwards, replayed from its history; for who manages groups."""
    facts = list(FactLog(platform.history).stream(group_id(slug)))
    if not facts:
        raise NoSuchThing("no such group")
    with reading(platform) as db:
        known = people(db, (fact.actor_id for fact in facts))
    return GroupHistory(items=list(_steps(facts, known)))


def _steps(facts: Sequence[AnyFact], known: Mapping[UUID, Person]) -> Iterator[GroupStep]:
    group: Group | None = None
    before: frozenset[str] = frozenset()
    for fact in facts:
        group = fact.event.mutate(group)
        assert group is not None
        yield GroupStep(
            version=fact.version,
            at=fact.at,
            by=known[fact.actor_id],
            type=fact.topic,
            name=group.name,
            level=group.level,
            permissions=sorted(group.permissions),
            added=sorted(group.permissions - before),
            removed=sorted(before - group.permissions),
            download_slots=group.download_slots,
            monthly_invites=group.monthly_invites,
            secondary=group.secondary,
            promotion=_criteria(group),
        )
        before = group.permissions


def _criteria(group: Group) -> CriteriaShown | None:
    if group.criteria is None or group.follows is None:
        return None
    return CriteriaShown(follows=group.follows, **group.criteria._asdict())
