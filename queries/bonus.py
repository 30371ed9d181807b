"""Where did these points come from, and where did they go?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import kwargs_row
from pydantic import BaseModel, Field

from domain.bonus import AccountKind, account_id
from domain.permissions import Permission
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep, PageRequest
from runtime.http.types import Id, ShownPoints

router = APIRouter(prefix="/api/v1/users", tags=["bonus"], route_class=StrictRoute)

#: `issuance` is the other side of what a user earned: always minus what came from nothing.
AccountName = Annotated[Literal["bonus", "issuance"], Query()]


class CauseShown(BaseModel):
    """Why points moved: the thing that it is about, and the words given for it."""

    type: str
    id: UUID
    text: str


class Posting(BaseModel):
    """One movement; `balance` is what the account held after it."""

    entry_id: UUID
    at: datetime
    amount: ShownPoints
    balance: ShownPoints
    kind: str
    cause: CauseShown
    position: int = Field(exclude=True)


@router.get("/me/ledger", dependencies=[fresh("bonus")])
def list_own_ledger(caller: Member, db: ReadDb, page: PageDep, account: AccountName = "bonus") -> Page[Posting]:
    """The caller's movements, newest first."""
    return _ledger(db, caller.user_id, account, page)


@router.get("/{user_id}/ledger", dependencies=[fresh("bonus", "users")])
def list_ledger(
    user_id: Id, caller: Member, db: ReadDb, page: PageDep, account: AccountName = "bonus"
) -> Page[Posting]:
    """The same of any user, for staff."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    must_be_user(db, user_id)
    return _ledger(db, user_id, account, page)


def _ledger(db: Connection[Any], owner_id: UUID, account: str, page: PageRequest) -> Page[Posting]:
    query = f"ledger:{owner_id}:{account}"
    before = page.after(query)
    found = postings(db, account_id(AccountKind(account), owner_id), before[0] if before else None, page.fetch)
    return page.page(query, found, lambda posting: [posting.position])


def postings(db: Connection[Any], account: UUID, before: int | None, limit: int) -> list[Posting]:
    """At most `limit` movements of the account, newest first, before that position."""
    return (
        db.cursor(row_factory=kwargs_row(_posting))
        .execute(
            "SELECT entry_id, at, amount, balance, kind, subject_type, subject_id, text, position"
            " FROM read.ledger_posting WHERE account_id = %(account)s AND position < %(before)s"
            " ORDER BY position DESC LIMIT %(limit)s",
            {"account": account, "before": 2**63 - 1 if before is None else before, "limit": limit},
        )
        .fetchall()
    )


def _posting(*, subject_type: str, subject_id: UUID, text: str, **columns: Any) -> Posting:
    return Posting(cause=CauseShown(type=subject_type, id=subject_id, text=text), **columns)
