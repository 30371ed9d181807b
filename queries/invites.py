"""Whom did a member invite, who came of it, how many invites are left, and whose time is over?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter, Depends
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Clock, Member, NotPermitted, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["invites"], route_class=StrictRoute)

Staff = Annotated[Caller, Requires(Permission.USERS_SEE_INVITES)]

#: Of accepted invites, each with the path that leads to it: a member's own first. Deeper branches are cut off.
DEPTH_MAX = 50
_TREE: LiteralString = """
WITH RECURSIVE tree AS (
  SELECT invitee_id, inviter_id, ended_at, 1 AS depth, ARRAY[invitee_id] AS path
  FROM invite WHERE inviter_id = %(user)s AND state = 'accepted'
  UNION ALL
  SELECT i.invitee_id, i.inviter_id, i.ended_at, t.depth + 1, t.path || i.invitee_id
  FROM invite i JOIN tree t ON i.inviter_id = t.invitee_id WHERE i.state = 'accepted' AND t.depth < %(depth)s
), branch AS (
  SELECT node AS user_id, count(*) - 1 AS members, count(*) FILTER (WHERE a.state = 'disabled') AS disabled
  FROM tree CROSS JOIN unnest(path) node JOIN account a ON a.user_id = invitee_id GROUP BY node
)
"""


class InviteItem(BaseModel):
    """One invite; `invitee_id` is the account that was made with it, null while there is none. The note is for staff.
    `charged` ones come back when they are revoked or expire."""

    id: UUID
    email: str
    state: Literal["sent", "accepted", "revoked", "expired"]
    invitee_id: UUID | None
    charged: bool
    note: str | None
    sent_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    version: int


class Allowance(BaseModel):
    """How many invites the caller may send now."""

    balance: int


class Branch(BaseModel):
    """A member who was invited, by whom, how far below the root, and how many members came of it. Its `state`, and how
    many of its branch are `disabled`, itself counted, are for staff."""

    id: UUID
    username: str
    group: str
    inviter_id: UUID
    depth: int
    joined_at: datetime
    members: int
    state: Literal["validating", "enabled", "disabled"] | None
    disabled: int | None
    path: str


def concerned(user_id: Id, caller: Member) -> bool:
    """Whether the caller is staff; raises `NotPermitted` unless it is that or the user itself."""
    staff = caller.can(Permission.USERS_SEE_INVITES)
    if not (staff or user_id == caller.user_id):
        raise NotPermitted("your group may not see this")
    return staff


@router.get("/me/invites", dependencies=[fresh("invites")])
def list_own_invites(caller: Member, db: ReadDb, page: PageDep, now: Clock) -> Page[InviteItem]:
    """The caller's invites, the latest first."""
    return _invites(db, page, caller.user_id, now, staff=False)


@router.get("/me/invites/allowance", dependencies=[fresh("invites", "users", "groups")])
def get_invite_allowance(caller: Member, db: ReadDb, now: Clock) -> Allowance:
    """How many invites the caller has, with those that its group gives for this month."""
    with db.cursor(row_factory=class_row(Allowance)) as cursor:
        found = cursor.execute(
            "SELECT coalesce(i.balance, 0)"
            " + CASE WHEN %(month)s > coalesce(i.month, '') THEN g.monthly_invites ELSE 0 END AS balance"
            " FROM account a JOIN user_group g ON g.slug = a.group_slug LEFT JOIN invite_allowance i USING (user_id)"
            " WHERE a.user_id = %(user)s",
            {"user": caller.user_id, "month": f"{now:%Y-%m}"},
        ).fetchone()
    assert found is not None, "who calls has an account"
    return found


@router.get("/{user_id}/invites", dependencies=[fresh("invites", "users")])
def list_invites(user_id: Id, caller: Staff, db: ReadDb, page: PageDep, now: Clock) -> Page[InviteItem]:
    """A user's invites with their notes, the latest first; for staff."""
    must_be_user(db, user_id)
    return _invites(db, page, user_id, now, staff=True)


@router.get("/{user_id}/invite-tree", dependencies=[fresh("invites", "users")])
def get_invite_tree(user_id: Id, staff: Annotated[bool, Depends(concerned)], db: ReadDb, page: PageDep) -> Page[Branch]:
    """Everybody who came by the user's invites, and by theirs, each branch in one piece; for staff and for the user."""
    must_be_user(db, user_id)
    query = f"invite-tree:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(Branch)) as cursor:
        rows = cursor.execute(
            f"{_TREE} SELECT a.user_id AS id, a.username, a.group_slug AS group, t.inviter_id, t.depth,"
            " t.ended_at AS joined_at, b.members, CASE WHEN %(staff)s THEN a.state END AS state,"
            " CASE WHEN %(staff)s THEN b.disabled END AS disabled, array_to_string(t.path, '/') AS path"
            " FROM tree t JOIN account a ON a.user_id = t.invitee_id JOIN branch b ON b.user_id = t.invitee_id"
            " WHERE %(after)s::text IS NULL OR array_to_string(t.path, '/') > %(after)s COLLATE \"C\""
            " ORDER BY array_to_string(t.path, '/') COLLATE \"C\" LIMIT %(limit)s",
            {
                "user": user_id,
                "staff": staff,
                "depth": DEPTH_MAX,
                "after": after[0] if after else None,
                "limit": page.fetch,
            },
        ).fetchall()
    return page.page(query, rows, lambda branch: [branch.path])


def due_invites(db: Connection[Any], now: datetime, limit: int) -> list[UUID]:
    """At most `limit` invites that are recorded as sent although their time is over, the longest overdue first."""
    rows = db.execute(
        "SELECT invite_id FROM read.invite WHERE state = 'sent' AND expires_at <= %s ORDER BY expires_at LIMIT %s",
        (now, limit),
    )
    return [row[0] for row in rows.fetchall()]


def _invites(db: Connection[Any], page: PageDep, user_id: UUID, now: datetime, *, staff: bool) -> Page[InviteItem]:
    query = f"invites:{user_id}:{staff}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(InviteItem)) as cursor:
        rows = cursor.execute(
            "SELECT invite_id AS id, email, charged, sent_at, expires_at, ended_at, version,"
            # an invite whose time is over is expired, even before that is recorded
            " CASE WHEN state = 'sent' AND expires_at <= %(now)s THEN 'expired' ELSE state END AS state,"
            " CASE WHEN state = 'accepted' THEN invitee_id END AS invitee_id, CASE WHEN %(staff)s THEN note END AS note"
            " FROM invite WHERE inviter_id = %(user)s AND (%(after)s::uuid IS NULL OR invite_id < %(after)s)"
            " ORDER BY invite_id DESC LIMIT %(limit)s",
            {"user": user_id, "staff": staff, "now": now, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda invite: [invite.id])
