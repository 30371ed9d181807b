"""What is there to achieve, what has this user achieved, and how far is it from the rest?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from domain.achievement_rules import Comparator, Match, Measure
from domain.permissions import Permission
from domain.privacy import Answer, PrivacyKey, visibility
from queries.people import Person, must_be_user, people
from queries.privacy import privacy_of, viewer_of
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1", tags=["achievements"], route_class=StrictRoute)

#: What somebody who hides the one does not show by a badge either.
_HIDDEN_WITH: dict[Measure, PrivacyKey] = {
    Measure.UPLOADS: PrivacyKey.UPLOADS,
    Measure.COMMENTS: PrivacyKey.TORRENT_COMMENTS,
}


class ConditionShown(BaseModel):
    """So much of something; nothing happens yet that comments, posts and subtitles count."""

    measure: Measure
    comparator: Comparator
    threshold: int


class AchievementShown(BaseModel):
    """Awarded when all or any of the conditions hold; without any, only staff award it."""

    id: UUID
    slug: str
    name: str
    description: str
    secret: bool
    match: Match
    conditions: list[ConditionShown]
    withdrawn: bool


class AchievementList(BaseModel):
    items: list[AchievementShown]


class Progress(ConditionShown):
    """How much of it there is."""

    done: int


class UserAchievement(BaseModel):
    """One achievement of a user: `earned_at` is null, and `progress` says how far it is, while it is not earned.

    Progress is for the user and for staff. `reason` is why it was awarded.
    """

    achievement: AchievementShown
    earned_at: datetime | None
    automatic: bool | None
    reason: str | None
    progress: list[Progress] | None


class UserAchievements(BaseModel):
    """Earned ones first, the newest of them foremost; then the others, as they are in the catalogue."""

    items: list[UserAchievement]


class AchievementChange(BaseModel):
    """One award, or one loss, and why; `automatic` when it was by the criteria."""

    achievement_id: UUID
    slug: str
    awarded: bool
    automatic: bool
    reason: str
    by: Person
    at: datetime
    position: int = Field(exclude=True)


@router.get("/achievements", dependencies=[fresh("achievements")])
def list_achievements(caller: Member, db: ReadDb) -> AchievementList:
    """Everything there is to achieve; secret and withdrawn ones for staff only."""
    staff = caller.can(Permission.SITE_MANAGE)
    return AchievementList(items=[one for one in _catalogue(db) if staff or not (one.secret or one.withdrawn)])


@router.get("/users/{user_id}/achievements", dependencies=[fresh("achievements", "users", "privacy")])
def list_user_achievements(user_id: Id, caller: Member, db: ReadDb) -> UserAchievements:
    """What the user has achieved, and what not yet; secret ones only once they are earned."""
    if user_id != caller.user_id and not caller.enabled:
        raise NotPermitted("your group may not see this")
    must_be_user(db, user_id)
    hidden = _hidden_measures(db, caller, user_id)
    sees_progress = user_id == caller.user_id or caller.can(Permission.USERS_SEE_PRIVATE)
    items = [
        item if sees_progress else item.model_copy(update={"progress": None})
        for item in user_achievements(db, user_id)
        if not hidden & {condition.measure for condition in item.achievement.conditions}
    ]
    return UserAchievements(items=items)


@router.get("/users/{user_id}/achievement-changes", dependencies=[fresh("achievements", "users")])
def list_achievement_changes(user_id: Id, caller: Member, page: PageDep, db: ReadDb) -> Page[AchievementChange]:
    """Every award and every loss with its reason, newest first. For the user and for staff."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    must_be_user(db, user_id)
    query = f"achievements:{user_id}"
    before = page.after(query)
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT e.achievement_id, a.slug, e.awarded, e.automatic, e.reason, e.actor_id, e.at, e.position"
            " FROM achievement_event e JOIN achievement a USING (achievement_id) WHERE e.user_id = %s"
            " AND e.position < %s ORDER BY e.position DESC LIMIT %s",
            (user_id, before[0] if before else 2**63 - 1, page.fetch),
        ).fetchall()
    names = people(db, (row["actor_id"] for row in rows))
    changes = [AchievementChange(by=names[row.pop("actor_id")], **row) for row in rows]
    return page.page(query, changes, lambda change: [change.position])


def user_achievements(db: Connection[Any], user_id: UUID) -> list[UserAchievement]:
    """All that the user has, then what there is to achieve beside it."""
    with db.cursor(row_factory=dict_row) as cursor:
        earned = cursor.execute(
            "SELECT achievement_id, awarded_at, automatic, reason FROM user_achievements WHERE user_id = %s"
            " ORDER BY position DESC",
            (user_id,),
        ).fetchall()
    done = dict(db.execute("SELECT measure, deeds FROM achievement_progress WHERE user_id = %s", (user_id,)).fetchall())
    catalogue = {one.id: one for one in _catalogue(db)}
    has = [
        UserAchievement(
            achievement=catalogue.pop(row["achievement_id"]),
            earned_at=row["awarded_at"],
            automatic=row["automatic"],
            reason=row["reason"],
            progress=None,
        )
        for row in earned
    ]
    return [*has, *_not_yet(catalogue.values(), done)]


def achievers(db: Connection[Any], limit: int, after: UUID | None = None) -> list[UUID]:
    """At most `limit` users with deeds that count, by id, after that one."""
    rows = db.execute(
        "SELECT DISTINCT user_id FROM read.achievement_progress WHERE %(after)s::uuid IS NULL OR user_id > %(after)s"
        " ORDER BY user_id LIMIT %(limit)s",
        {"after": after, "limit": limit},
    )
    return [row[0] for row in rows.fetchall()]


def _not_yet(rest: Iterable[AchievementShown], done: dict[str, int]) -> Iterator[UserAchievement]:
    for one in rest:
        if not (one.secret or one.withdrawn):
            progress = [
                Progress(**condition.model_dump(), done=done.get(condition.measure, 0)) for condition in one.conditions
            ]
            yield UserAchievement(achievement=one, earned_at=None, automatic=None, reason=None, progress=progress)


def _catalogue(db: Connection[Any]) -> list[AchievementShown]:
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT achievement_id AS id, slug, name, description, secret, match, withdrawn, measures, comparators,"
            " thresholds FROM achievement ORDER BY defined_position"
        ).fetchall()
    return [_shown(**row) for row in rows]


def _shown(
    *, measures: list[Measure], comparators: list[Comparator], thresholds: list[int], **columns: Any
) -> AchievementShown:
    conditions = [
        ConditionShown(measure=measure, comparator=comparator, threshold=threshold)
        for measure, comparator, threshold in zip(measures, comparators, thresholds, strict=True)
    ]
    return AchievementShown(conditions=conditions, **columns)


def _hidden_measures(db: Connection[Any], caller: Caller, user_id: UUID) -> set[Measure]:
    """What the user hides from the caller."""
    settings, viewer = privacy_of(db, [user_id])[user_id], viewer_of(caller, user_id)
    return {measure for measure, key in _HIDDEN_WITH.items() if visibility(settings, key, viewer) is Answer.HIDDEN}
