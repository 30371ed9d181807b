"""Which accounts are linked to which, who said so and why."""

from __future__ import annotations

from uuid import UUID

from domain.linked_accounts import LinkGroup
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

linked_accounts = Projection("linked_accounts", "linked_account")


@linked_accounts.on(LinkGroup.Formed)
def formed(fact: Fact[LinkGroup.Formed], db: Writer) -> None:
    for user_id in fact.event.user_ids:
        _link(fact, user_id, db)


@linked_accounts.on(LinkGroup.Joined)
def joined(fact: Fact[LinkGroup.Joined], db: Writer) -> None:
    _link(fact, fact.event.user_id, db)


@linked_accounts.on(LinkGroup.Left)
def left(fact: Fact[LinkGroup.Left], db: Writer) -> None:
    db.update("DELETE FROM linked_account WHERE user_id = %s", (fact.event.user_id,))


@linked_accounts.on(LinkGroup.Dissolved)
def dissolved(fact: Fact[LinkGroup.Dissolved], db: Writer) -> None:
    db.update("DELETE FROM linked_account WHERE group_id = %s", (fact.stream_id,))


def _link(fact: AnyFact, user_id: UUID, db: Writer) -> None:
    db.execute(
        "INSERT INTO linked_account (user_id, group_id, reason, linked_by, linked_at, position)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (user_id, fact.stream_id, fact.event.reason, fact.actor_id, fact.at, fact.position),
    )
