"""What is done with client rules: defining, changing and withdrawing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.client_patterns import PATTERN_MAX
from domain.client_rules import EXCEPTIONS_MAX, NAME_MAX, REASON_MAX, ClientRule, ClientRuleKind, Terms
from domain.permissions import Permission
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt, new_id

router = APIRouter(prefix="/api/v1/tracker/client-rules", tags=["tracker"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]

PatternText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=PATTERN_MAX,
        description="how it begins: text, {x} for a version digit 0-9A-Za-z, {n} for a number, {?} for any character",
    ),
]
Version = Annotated[
    list[Annotated[int, Field(ge=0, le=999_999_999)]],
    Field(max_length=PATTERN_MAX, description="what {x} and {n} must reach, the first difference decides"),
]


class ClientException(Command):
    """Clients of the family that are denied all the same."""

    peer_id_pattern: PatternText | None = None
    agent_pattern: PatternText | None = None
    comment: str = Field(min_length=1, max_length=REASON_MAX)


class ChangeClientRule(Command):
    """The whole rule: what is left out is empty afterwards. Where both patterns are given, both have to match."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    peer_id_pattern: PatternText | None = None
    agent_pattern: PatternText | None = None
    peer_id_minimum: Version = []
    agent_minimum: Version = []
    reason: str | None = Field(
        None, min_length=1, max_length=REASON_MAX, description="of a deny rule, shown to clients"
    )
    exceptions: list[ClientException] = Field([], max_length=EXCEPTIONS_MAX)

    def terms(self) -> Terms:
        exceptions = [exception.model_dump() for exception in self.exceptions]
        return Terms(
            self.name,
            self.peer_id_pattern,
            self.agent_pattern,
            self.peer_id_minimum,
            self.agent_minimum,
            self.reason,
            exceptions,
        )


class DefineClientRule(ChangeClientRule):
    """A rule; `allow` is a family of clients with the lowest versions and exceptions, `deny` has a reason."""

    kind: ClientRuleKind


@router.post("", status_code=201)
def define_client_rule(command: DefineClientRule, staff: Manager, store: StoreDep) -> Receipt:
    """Let a family of clients announce, or keep clients out. The first allow rule keeps all others out."""
    rule = ClientRule.define(new_id(), command.kind, command.terms())
    return store.save(rule)


@router.put("/{rule_id}")
def change_client_rule(rule_id: Id, command: ChangeClientRule, staff: Manager, store: StoreDep) -> Receipt:
    """Replace what a rule says; its kind stays."""
    rule = store.edit(ClientRule, rule_id)
    rule.change(command.terms())
    return store.save(rule)


@router.delete("/{rule_id}")
def withdraw_client_rule(rule_id: Id, staff: Manager, store: StoreDep) -> Receipt:
    """End a rule. Without any allow rule every client may announce that is not denied."""
    rule = store.edit(ClientRule, rule_id)
    rule.withdraw()
    return store.save(rule)
