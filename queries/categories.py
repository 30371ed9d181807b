"""The categories, parents first, in the order in which they are shown."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb

router = APIRouter(prefix="/api/v1/categories", tags=["categories"], route_class=StrictRoute)


class CategoryItem(BaseModel):
    """`parent` is the slug of the category that this one stands in."""

    id: UUID
    slug: str
    name: str
    parent: str | None


class Categories(BaseModel):
    items: list[CategoryItem]
    next_cursor: None = None


@router.get("", dependencies=[fresh("categories")])
def list_categories(caller: Member, db: ReadDb) -> Categories:
    """All of them; a torrent's `category` is a slug."""
    with db.cursor(row_factory=class_row(CategoryItem)) as cursor:
        cursor.execute(
            "SELECT c.category_id AS id, c.slug, c.name, c.parent FROM category c"
            " LEFT JOIN category p ON p.slug = c.parent"
            " ORDER BY coalesce(p.rank, c.rank), coalesce(p.slug, c.slug), c.parent IS NOT NULL, c.rank, c.slug"
        )
        return Categories(items=cursor.fetchall())
