"""A family of clients stays; a denial and a family are withdrawn."""

from __future__ import annotations

import dataclasses
from uuid import uuid4

from domain.client_rules import ClientRule, ClientRuleKind, Terms
from tests.history.past import Past


def tell(past: Past) -> None:
    exception: dict[str, str | None] = {"peer_id_pattern": "-qB4250-", "agent_pattern": None, "comment": "cheats"}
    family = Terms("qBittorrent", "-qB{x}{x}{x}{x}-", "qBittorrent/{n}.{n}", [4, 2], [4, 2], None, [exception])
    denial = Terms("Thunder", "-XL", None, [], [], "does not share", [])
    for kind, terms, stays in (("allow", family, True), ("deny", denial, False), ("allow", family, False)):
        rule = ClientRule.define(uuid4(), ClientRuleKind(kind), terms)
        rule.change(dataclasses.replace(terms, name=f"{terms.name} 2"))
        if not stays:
            rule.withdraw()
        past.save(rule)
