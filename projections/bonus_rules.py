"""The rules of what seeding earns, for everybody to read."""

from __future__ import annotations

from domain.bonus_rules import BonusRule
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

bonus_rules = Projection("bonus_rules", "bonus_rule", stream="rule_id")


@bonus_rules.on(BonusRule.Defined)
def defined(fact: Fact[BonusRule.Defined], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO bonus_rule (rule_id, slug, description, rank, operation, terms) VALUES (%s, %s, %s, %s, %s, %s)",
        (fact.stream_id, event.slug, event.description, event.rank, event.operation, event.terms),
    )
