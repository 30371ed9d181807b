"""Which programs may announce?"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.client_rules import ClientRuleKind
from domain.permissions import Permission
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep

router = APIRouter(prefix="/api/v1/tracker/client-rules", tags=["tracker"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]


class ClientExceptionItem(BaseModel):
    """Clients of a family that are denied all the same."""

    peer_id_pattern: str | None
    agent_pattern: str | None
    comment: str


class ClientRuleItem(BaseModel):
    """One rule that holds; `reason` is null for allow rules, `version` is for If-Match."""

    id: UUID
    kind: ClientRuleKind
    name: str
    peer_id_pattern: str | None
    agent_pattern: str | None
    peer_id_minimum: list[int]
    agent_minimum: list[int]
    reason: str | None
    exceptions: list[ClientExceptionItem]
    version: int


@router.get("", dependencies=[fresh("announce_access")])
def list_client_rules(staff: Manager, page: PageDep, db: ReadDb) -> Page[ClientRuleItem]:
    """The rules that hold, in the order in which they were defined; without any allow rule all clients may announce."""
    after = page.after("client_rules")
    with db.cursor(row_factory=class_row(ClientRuleItem)) as cursor:
        rows = cursor.execute(
            "SELECT rule_id AS id, kind, name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum, reason,"
            " exceptions, version FROM announce_client_rule"
            " WHERE NOT withdrawn AND (%(after)s::uuid IS NULL OR rule_id > %(after)s)"
            " ORDER BY rule_id LIMIT %(limit)s",
            {"after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page("client_rules", rows, lambda rule: [rule.id])
