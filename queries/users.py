"""Who am I, who is that, and who are all of them?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, ConfigDict, Field

from domain.announce_keys import announce_key
from domain.permissions import Permission
from domain.privacy import OVERRIDE, Level, PrivacyKey
from domain.usernames import username_key
from queries.privacy import SETTINGS, Guarded, Private, profile_private, settings_of, viewer_of
from queries.profiles import PROFILE, ProfileShown, profile_of
from queries.relations import FOLLOWERS
from queries.torrents import Cursor, Limit
from queries.user_stats import LAST_SEEN
from queries.warnings import WARNED_UNTIL
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import (
    Caller,
    Clock,
    Confirmed,
    Member,
    NotPermitted,
    ReadDb,
    Requires,
    SecretsDep,
    SettingsDep,
)
from runtime.http.pages import LIMIT_DEFAULT, Page, PageDep, PageLimit
from runtime.http.types import Id, ShownPoints, Timestamp
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1", tags=["users"], route_class=StrictRoute)

Staff = Annotated[Caller, Requires(Permission.MODERATION)]
State = Literal["validating", "enabled", "disabled"]

_DETAIL: LiteralString = f"""
user_id AS id, username, group_slug AS group, state, registered_at, version,
CASE WHEN user_id = %(caller)s THEN email END AS email,
CASE WHEN %(private)s OR user_id = %(caller)s THEN email_verified END AS email_verified,
CASE WHEN %(private)s OR user_id = %(caller)s THEN two_factor END AS two_factor,
CASE WHEN %(private)s OR user_id = %(caller)s THEN leeching_suspended END AS leeching_suspended,
CASE WHEN %(staff)s OR user_id = %(caller)s THEN {WARNED_UNTIL} END AS warned_until
"""
_WANTED: LiteralString = f"""
(%(group)s::text IS NULL OR group_slug = %(group)s) AND (%(state)s::text IS NULL OR state = %(state)s)
AND (%(part)s::text IS NULL OR lower(username) LIKE %(part)s)
AND (%(registered_from)s::timestamptz IS NULL OR registered_at >= %(registered_from)s)
AND (%(registered_to)s::timestamptz IS NULL OR registered_at < %(registered_to)s)
AND (%(seen_from)s::timestamptz IS NULL OR {LAST_SEEN} >= %(seen_from)s)
AND (%(seen_to)s::timestamptz IS NULL OR coalesce({LAST_SEEN} < %(seen_to)s, true))
"""
#: Private profiles are neither shown nor counted: whoever may not see them learns nothing from what is found.
_FOUND: LiteralString = f"""
FROM account a WHERE state = 'enabled'
AND (lower(username) LIKE %(prefix)s OR lower(username) OPERATOR(public.%%) %(name)s)
AND (%(overrides)s OR user_id = %(caller)s
     OR NOT EXISTS (SELECT FROM privacy p WHERE p.user_id = a.user_id AND {profile_private("p")}))
"""


class OwnAccount(BaseModel):
    """The caller's account. `passkey` opens every torrent; `ratio` is null before the first download;
    `leeching_suspended` says why the ratio rule lets the caller seed only, and is null while it does not;
    `warned_until` is when the last warning ends that counts now."""

    id: UUID
    username: str
    email: str
    email_verified: bool
    group: str
    permissions: list[str]
    state: State
    passkey: str | None
    announce_urls: list[str]
    uploaded: int
    downloaded: int
    ratio: float | None
    leeching_suspended: str | None
    warned_until: datetime | None
    bonus_points: ShownPoints
    two_factor: bool
    registered_at: datetime
    version: int


class ListedUser(BaseModel):
    """A user as staff list it. `email` is null but for itself: for staff, looking at it is a command with a reason.
    `email_verified`, `two_factor` and `leeching_suspended` (why the ratio rule lets it seed only, null while it does
    not) are null but for itself and senior staff; `warned_until` (when the last warning ends that counts now) but for
    itself and staff."""

    id: UUID
    username: str
    group: str
    state: State
    registered_at: datetime
    email: str | None
    email_verified: bool | None
    two_factor: bool | None
    leeching_suspended: str | None
    warned_until: datetime | None
    version: int


class UserDetail(ListedUser, Guarded):
    """A user as others see it. `privacy_level` is how much it hides; who is not told of uploads does not follow."""

    privacy_level: Level
    profile: ProfileShown
    followers: Annotated[int | None, Private(PrivacyKey.NOTIFICATIONS)]


class UserFilter(BaseModel):
    """What staff look for; null leaves nothing out. Names that are not here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str | None = Field(None, max_length=64)
    state: State | None = None
    name: str | None = Field(None, min_length=1, max_length=64, description="a part of it")
    registered_from: Timestamp | None = None
    registered_to: Timestamp | None = Field(None, description="before that moment")
    seen_from: Timestamp | None = Field(None, description="signed in or announced then or later")
    seen_to: Timestamp | None = Field(None, description="neither signed in nor announced since")
    limit: Limit = None
    cursor: Cursor = None


class FoundUser(BaseModel):
    id: UUID
    username: str
    group: str
    registered_at: datetime


class FoundUsers(BaseModel):
    """`facets` counts all that was found, by group."""

    items: list[FoundUser]
    next_cursor: None = None
    facets: dict[str, dict[str, int]]
    engine: Literal["postgresql"] = "postgresql"


@router.get("/users/me", dependencies=[fresh("users", "groups", "rights", "bans", "peers", "bonus", "warnings")])
def get_own_account(caller: Member, db: ReadDb, now: Clock, settings: SettingsDep, secrets: SecretsDep) -> OwnAccount:
    """Everything about the caller's own account; an API key is not shown the passkey."""
    row = _own_row(db, caller.user_id, now)
    row["permissions"] = sorted(caller.permissions)
    key = announce_key(secrets.site, caller.user_id, row.pop("passkey_no"), None)
    ratio = round(row["uploaded"] / row["downloaded"], 3) if row["downloaded"] else None
    if caller.scopes is not None:
        return OwnAccount(passkey=None, announce_urls=[], ratio=ratio, **row)
    return OwnAccount(passkey=key, announce_urls=[f"{settings.edge.base_url}/announce/{key}"], ratio=ratio, **row)


@router.get("/users/{user_id}", dependencies=[fresh("users", "privacy", "profiles", "relations", "warnings")])
def get_user(user_id: Id, caller: Member, db: ReadDb, now: Clock) -> UserDetail:
    """One user. Who waits for confirmation sees nobody but itself."""
    found = users_seen(db, [user_id], caller, now)
    if user_id not in found:
        raise NoSuchThing("no such user")
    return found[user_id]


@router.get("/users", dependencies=[fresh("users", "user_statistics", "peers", "warnings")])
def list_users(
    wanted: Annotated[UserFilter, Query()], caller: Staff, db: ReadDb, page: PageDep, now: Clock
) -> Page[ListedUser]:
    """Every account that fits, newest first; for staff. By address or e-mail they are found by commands that say why:
    `/users/searches/by-address` and `/users/searches/by-email`."""
    if (wanted.seen_from or wanted.seen_to) and not caller.can(Permission.USERS_SEE_LAST_SEEN):
        raise NotPermitted("your group may not see when users were there")
    after = page.after("users")
    with db.cursor(row_factory=class_row(ListedUser)) as cursor:
        rows = cursor.execute(
            f"SELECT {_DETAIL} FROM account a WHERE {_WANTED}"
            " AND (%(after)s::uuid IS NULL OR user_id < %(after)s) ORDER BY user_id DESC LIMIT %(limit)s",
            {
                **wanted.model_dump(),
                "caller": caller.user_id,
                "private": caller.can(Permission.USERS_SEE_PRIVATE),
                "staff": True,
                "now": now,
                "part": None if wanted.name is None else f"%{_like(username_key(wanted.name))}%",
                "after": after[0] if after else None,
                "limit": page.fetch,
            },
        ).fetchall()
    return page.page("users", rows, lambda user: [user.id])


@router.get("/search/users", dependencies=[fresh("users", "privacy")])
def search_users(
    caller: Confirmed,
    db: ReadDb,
    q: Annotated[str, Query(min_length=1, max_length=64)],
    limit: PageLimit = LIMIT_DEFAULT,
) -> FoundUsers:
    """Members whose name begins with the words or resembles them, the best first; none whose profile is private."""
    name = username_key(q.strip())
    wanted = {
        "name": name,
        "prefix": _like(name) + "%",
        "limit": limit,
        "caller": caller.user_id,
        "overrides": caller.can(OVERRIDE),
    }
    with db.cursor(row_factory=class_row(FoundUser)) as cursor:
        rows = cursor.execute(
            f"SELECT user_id AS id, username, group_slug AS group, registered_at {_FOUND}"
            " ORDER BY lower(username) = %(name)s DESC, lower(username) LIKE %(prefix)s DESC,"
            " public.similarity(lower(username), %(name)s) DESC, lower(username), user_id LIMIT %(limit)s",
            wanted,
        ).fetchall()
    return FoundUsers(items=rows, facets={"group": _by_group(db, wanted)})


def users_seen(db: Connection[Any], user_ids: Iterable[UUID], caller: Caller, now: datetime) -> dict[UUID, UserDetail]:
    """Those of these users whom the caller may see, as it sees them."""
    wanted = [one for one in user_ids if caller.enabled or one == caller.user_id]
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"SELECT {_DETAIL}, {SETTINGS} AS settings, {PROFILE} AS profile, {FOLLOWERS} AS followers"
            " FROM read.account a WHERE user_id = ANY (%(users)s)",
            {
                "caller": caller.user_id,
                "private": caller.can(Permission.USERS_SEE_PRIVATE),
                "staff": caller.can(Permission.MODERATION),
                "now": now,
                "users": wanted,
            },
        ).fetchall()
    return {row["id"]: _seen(caller, **row) for row in rows}


def _seen(
    caller: Caller, *, settings: dict[str, list[str]] | None, profile: dict[str, Any] | None, **columns: Any
) -> UserDetail:
    chosen = settings_of(settings)
    found = UserDetail(**columns, privacy_level=chosen.level, profile=profile_of(profile))
    return found.seen_by(viewer_of(caller, found.id), chosen)


def _own_row(db: Connection[Any], user_id: UUID, now: datetime) -> dict[str, Any]:
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT a.user_id AS id, a.username, a.email, a.email_verified, a.group_slug AS group,"
            " a.state, a.passkey_no, a.two_factor, a.leeching_suspended, a.registered_at, a.version,"
            " coalesce(s.uploaded, 0) AS uploaded,"
            f" coalesce(s.downloaded, 0) AS downloaded, {WARNED_UNTIL} AS warned_until,"
            " coalesce(b.balance, 0) AS bonus_points"
            " FROM account a LEFT JOIN user_stats s USING (user_id)"
            " LEFT JOIN ledger_balance b USING (user_id) WHERE a.user_id = %(user)s",
            {"user": user_id, "now": now},
        ).fetchone()
    if row is None:
        raise NoSuchThing("no such user")
    return row


def _by_group(db: Connection[Any], wanted: dict[str, Any]) -> dict[str, int]:
    rows = db.execute(
        f"SELECT group_slug, count(*) {_FOUND} GROUP BY group_slug ORDER BY group_slug", wanted
    ).fetchall()
    return dict(rows)


def _like(text: str) -> str:
    """The text as LIKE means it literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
