"""What does seeding earn?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb
from runtime.http.pages import Page

router = APIRouter(prefix="/api/v1/bonus", tags=["bonus"], route_class=StrictRoute)


class Rule(BaseModel):
    """`operation` adds the first fitting one of `terms` (points per hour) to what lower ranks gave, or scales it."""

    id: UUID
    slug: str
    description: str
    rank: int
    operation: str
    terms: list[str]


@router.get("/rules", dependencies=[fresh("bonus_rules")])
def list_bonus_rules(caller: Member, db: ReadDb) -> Page[Rule]:
    """Every rule, in the order in which they apply."""
    return Page(items=rules(db))


def rules(db: Connection[Any]) -> list[Rule]:
    return (
        db.cursor(row_factory=class_row(Rule))
        .execute(
            "SELECT rule_id AS id, slug, description, rank, operation, terms FROM read.bonus_rule ORDER BY rank, slug"
        )
        .fetchall()
    )
