"""What announces have to keep to is laid down, and changed."""

from __future__ import annotations

from domain.announce_rules import AnnounceRules
from tests.history.past import Past


def tell(past: Past) -> None:
    rules = AnnounceRules.lay_down([8080], 3)
    rules.change([8080, 6881], 2)
    past.save(rules)
