"""By which promotions does the whole site count bytes at this moment?"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, Member, ReadDb
from runtime.http.pages import Page

router = APIRouter(prefix="/api/v1/tracker/site-promotions", tags=["tracker"], route_class=StrictRoute)


class SitePromotionItem(BaseModel):
    """One promotion that holds; `until` is null until it is ended."""

    id: UUID
    upload_percent: int
    download_percent: int
    started_at: datetime
    until: datetime | None
    version: int


@router.get("", dependencies=[fresh("site_promotions")])
def list_site_promotions(caller: Member, db: ReadDb, now: Clock) -> Page[SitePromotionItem]:
    """The promotions of the whole site that hold now, newest first. Whoever has several gets the better of each."""
    return Page(items=in_force(db, now))


def in_force(db: Connection[Any], now: datetime) -> list[SitePromotionItem]:
    with db.cursor(row_factory=class_row(SitePromotionItem)) as cursor:
        return cursor.execute(
            "SELECT promotion_id AS id, upload_percent, download_percent, started_at, until, version"
            " FROM read.site_promotion WHERE ended_at IS NULL AND (until IS NULL OR until > %s)"
            " ORDER BY promotion_id DESC",
            (now,),
        ).fetchall()
