"""What does a user let others see, and what is left of an answer about it for whoever asks?

A field that its user may hide is marked in its answer: `uploaded: Annotated[int | None, Private(PrivacyKey.UPLOADED)]`.
These marks are the one registry of such fields; `Guarded.seen_by` acts by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, LiteralString, TypeVar
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from domain.privacy import (
    EVERYTHING_SHOWN,
    HIGH_MAX,
    LISTS,
    Answer,
    Level,
    Part,
    PrivacyKey,
    PrivacySettings,
    Viewer,
    strictest,
    visibility,
)
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Member, ReadDb

router = APIRouter(prefix="/api/v1/users/me/privacy", tags=["users"], route_class=StrictRoute)

M = TypeVar("M", bound=BaseModel)
G = TypeVar("G", bound="Guarded")


@dataclass(frozen=True)
class Private:
    """Marks a field of an answer that the user whom it is about may hide; such a field can be null."""

    key: PrivacyKey
    part: Part = Part.COUNT


class Guarded(BaseModel):
    """An answer about a user. `privacy` names what is hidden, and is null here, and what is shown to staff only."""

    privacy: dict[str, Answer] = Field({}, description="hidden or overridden, by field")

    def seen_by(self: G, viewer: Viewer, settings: PrivacySettings) -> G:
        answers = withheld(type(self), viewer, settings)
        return without(self, answers).model_copy(update={"privacy": answers})


class PrivacyShown(BaseModel):
    """Each setting: `shown` or `hidden`, and of a list `list`, `count` or `hidden`. `version` is for If-Match, and 0
    before the first choice."""

    settings: dict[PrivacyKey, Literal["shown", "list", "count", "hidden"]]
    level: Level
    score: int
    version: int


@router.get("", dependencies=[fresh("privacy")])
def get_own_privacy(caller: Member, db: ReadDb) -> PrivacyShown:
    """What the caller lets others see."""
    row = db.execute("SELECT hidden, counted, version FROM privacy WHERE user_id = %s", (caller.user_id,)).fetchone()
    hidden, counted, version = row or ([], [], 0)
    settings = settings_from(hidden, counted)
    return PrivacyShown(
        settings={key: _shown(settings, key) for key in PrivacyKey},
        level=settings.level,
        score=settings.score,
        version=version,
    )


def _shown(settings: PrivacySettings, key: PrivacyKey) -> Literal["shown", "list", "count", "hidden"]:
    if not settings.shows(key):
        return "hidden"
    if key not in LISTS:
        return "shown"
    return "list" if settings.shows(key, Part.LIST) else "count"


def settings_from(hidden: Iterable[str] | None, counted: Iterable[str] | None) -> PrivacySettings:
    """The settings that a row of `read.privacy` holds; of no row, everything is shown."""
    if hidden is None or counted is None:
        return EVERYTHING_SHOWN
    return PrivacySettings(frozenset(map(PrivacyKey, hidden)), frozenset(map(PrivacyKey, counted)))


#: The settings of the user of `account a`, for `settings_of`; null before the first choice.
SETTINGS: LiteralString = (
    "(SELECT jsonb_build_object('hidden', v.hidden, 'counted', v.counted)"
    " FROM read.privacy v WHERE v.user_id = a.user_id)"
)


def settings_of(chosen: dict[str, list[str]] | None) -> PrivacySettings:
    """What a column of `SETTINGS` says."""
    return EVERYTHING_SHOWN if chosen is None else settings_from(**chosen)


def list_shown(key: PrivacyKey, row: LiteralString) -> LiteralString:
    """The condition that the list is shown to everybody, of a row of `read.privacy` under that name: the same as
    `PrivacySettings.shows`, for lists that SQL selects from."""
    return f"'{key}' <> ALL ({row}.hidden || {row}.counted)"


def value_shown(key: PrivacyKey, row: LiteralString) -> LiteralString:
    """The same for a value, or for the count of a list."""
    return f"'{key}' <> ALL ({row}.hidden)"


def profile_private(row: LiteralString) -> LiteralString:
    """The condition that the profile is private, of the same row: `PrivacySettings.private`; a test holds that they
    agree."""
    lists: LiteralString = ", ".join(f"'{key}'" for key in PrivacyKey if key in LISTS)
    hidden_lists: LiteralString = f"(SELECT count(*) FROM unnest({row}.hidden) key WHERE key IN ({lists}))"
    return f"cardinality({row}.hidden || {row}.counted) + {hidden_lists} > {HIGH_MAX}"


def privacy_of(db: Connection[Any], user_ids: Iterable[UUID]) -> Mapping[UUID, PrivacySettings]:
    """The settings of each of these users."""
    wanted = list(user_ids)
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT user_id, hidden, counted FROM read.privacy WHERE user_id = ANY (%s)", (wanted,)
        ).fetchall()
    chosen = {row["user_id"]: settings_from(row["hidden"], row["counted"]) for row in rows}
    return {user_id: chosen.get(user_id, EVERYTHING_SHOWN) for user_id in wanted}


def viewer_of(caller: Caller, user_id: UUID) -> Viewer:
    """The caller, looking at that user."""
    return Viewer(caller.user_id == user_id, caller.permissions)


def marks(model: type[BaseModel]) -> dict[str, list[Private]]:
    """The fields of this answer that a user may hide: one is hidden with any of what it is marked by."""
    found = {
        name: [mark for mark in field.metadata if isinstance(mark, Private)]
        for name, field in model.model_fields.items()
    }
    return {name: private for name, private in found.items() if private}


def withheld(model: type[BaseModel], viewer: Viewer, settings: PrivacySettings) -> dict[str, Answer]:
    """The fields of this answer that are hidden, from this viewer or but for it."""
    answers = {
        name: strictest(visibility(settings, mark.key, viewer, mark.part) for mark in private)
        for name, private in marks(model).items()
    }
    return {name: answer for name, answer in answers.items() if answer is not Answer.ALLOWED}


def without(answer: M, answers: Mapping[str, Answer]) -> M:
    """The answer with null for what is hidden."""
    return answer.model_copy(update={name: None for name, what in answers.items() if what is Answer.HIDDEN})
