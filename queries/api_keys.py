"""Which keys act in my name, how far do they reach, and when was each used last?"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.api_keys import Scope
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, CredentialsDb
from runtime.http.pages import Page, PageDep

router = APIRouter(prefix="/api/v1/users/me/api-keys", tags=["api keys"], route_class=StrictRoute)


class ApiKeyItem(BaseModel):
    """One key; `last_used_at` is exact to a minute, null before its first use; `expires_at` is null for never. A key
    that has expired is shown for thirty days more."""

    id: UUID
    name: str
    scopes: list[Scope]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


@router.get("", dependencies=[fresh("api_keys")])
def list_api_keys(caller: AccountOwner, db: CredentialsDb, page: PageDep) -> Page[ApiKeyItem]:
    """The caller's keys, newest first; the keys themselves are shown to nobody."""
    after = page.after("api_keys")
    with db.cursor(row_factory=class_row(ApiKeyItem)) as cursor:
        rows = cursor.execute(
            "SELECT r.key_id AS id, r.name, r.scopes, r.created_at, k.last_used_at, r.expires_at"
            " FROM api_key r JOIN credentials.api_key k USING (key_id)"
            " WHERE r.user_id = %(user)s AND (%(after)s::uuid IS NULL OR r.key_id < %(after)s)"
            " ORDER BY r.key_id DESC LIMIT %(limit)s",
            {"user": caller.user_id, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page("api_keys", rows, lambda key: [key.id])
