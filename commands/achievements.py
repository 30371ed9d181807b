"""What staff do with achievements: say what there is to achieve, award and take."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from domain.achievement_rules import (
    CATALOGUE,
    CONDITIONS_MAX,
    DESCRIPTION_MAX,
    NAME_MAX,
    THRESHOLD_MAX,
    AchievementCatalogue,
    Comparator,
    Condition,
    Criteria,
    Match,
    Measure,
    NoSuchAchievement,
    Terms,
)
from domain.achievements import Achievements, NotAchieved, achievements_id
from domain.permissions import Permission
from domain.users import User
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1", tags=["achievements"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.SITE_MANAGE)]
Awarder = Annotated[Caller, Requires(Permission.BONUS_GRANT)]


class ConditionGiven(Command):
    """How much of something; nothing happens yet that comments, posts and subtitles count."""

    measure: Measure
    comparator: Comparator = Comparator.AT_LEAST
    threshold: int = Field(ge=0, le=THRESHOLD_MAX)


class ChangeAchievement(Command):
    """The whole achievement; without conditions only staff award it."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    description: str = Field("", max_length=DESCRIPTION_MAX)
    secret: bool = Field(False, description="nobody is told of it before having it")
    match: Match = Match.ALL
    conditions: list[ConditionGiven] = Field([], max_length=CONDITIONS_MAX)

    def terms(self) -> Terms:
        conditions = (Condition(one.measure, one.comparator, one.threshold) for one in self.conditions)
        return Terms(self.name, self.description, self.secret, Criteria(self.match, tuple(conditions)))


class DefineAchievement(ChangeAchievement):
    slug: str = Field(min_length=1, max_length=64)


class AwardAchievement(Command):
    achievement_id: Id
    reason: str = Field(min_length=1, max_length=1000)


class TakeAchievement(Command):
    reason: str = Field(min_length=1, max_length=1000)


@router.post("/achievements", status_code=201)
def define_achievement(command: DefineAchievement, staff: Manager, store: StoreDep) -> Receipt:
    """One more thing to achieve; who has done enough for it already has it within a minute."""
    rules = catalogue(store)
    rule_id = rules.define(command.slug, command.terms())
    return store.save(rules, id=rule_id)


@router.put("/achievements/{achievement_id}")
def change_achievement(achievement_id: Id, command: ChangeAchievement, staff: Manager, store: StoreDep) -> Receipt:
    """Other words or criteria; who has it keeps it until the next deed, or undoing of one, is judged by them."""
    rules = catalogue(store)
    rules.change(achievement_id, command.terms())
    return store.save(rules, id=achievement_id)


@router.delete("/achievements/{achievement_id}")
def withdraw_achievement(achievement_id: Id, staff: Manager, store: StoreDep) -> Receipt:
    """Nobody gets it any more; who has it keeps it."""
    rules = catalogue(store)
    rules.withdraw(achievement_id)
    return store.save(rules, id=achievement_id)


@router.post("/users/{user_id}/achievements", status_code=201)
def award_achievement(user_id: Id, command: AwardAchievement, staff: Awarder, store: StoreDep) -> Receipt:
    """Give a user an achievement, whatever its criteria."""
    store.get(User, user_id)
    achievements = achievements_of(store, user_id)
    achievements.award(command.achievement_id, command.reason, catalogue(store))
    return store.save(achievements)


@router.delete("/users/{user_id}/achievements/{achievement_id}")
def take_achievement(
    user_id: Id, achievement_id: Id, command: TakeAchievement, staff: Awarder, store: StoreDep
) -> Receipt:
    """Take it away, however it was earned; its criteria do not give it back."""
    store.get(User, user_id)
    if achievement_id not in catalogue(store).slugs:
        raise NoSuchAchievement("no such achievement")
    achievements = store.find(Achievements, achievements_id(user_id))
    if achievements is None:
        raise NotAchieved("the user does not have this achievement")
    achievements.revoke(achievement_id, command.reason)
    return store.save(achievements)


def catalogue(store: Store) -> AchievementCatalogue:
    """What there is to achieve on this site."""
    return store.find(AchievementCatalogue, CATALOGUE) or AchievementCatalogue.open()


def achievements_of(store: Store, user_id: UUID) -> Achievements:
    """The user's, as they are; none yet where there was nothing."""
    return store.find(Achievements, achievements_id(user_id)) or Achievements.open(user_id)


def settle_achievements(store: Store, user_id: UUID) -> None:
    """Judge what the user did before by the criteria of now."""
    achievements = store.get(Achievements, achievements_id(user_id))
    achievements.settle("the criteria were changed", catalogue(store))
    if achievements.pending_events:
        store.save(achievements)
