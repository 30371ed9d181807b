"""Between two members everything begins and ends; then one friend is left."""

from __future__ import annotations

from domain.relations import Relations
from tests.history.past import Past


def tell(past: Past) -> None:
    for user, other, _ in past.with_others:
        relations = Relations.open(user.id)
        relations.befriend(other.id, "met at a fair")
        relations.befriend(other.id, "met at a trade fair")
        relations.follow(other.id)
        relations.block(other.id)
        relations.unblock(other.id)
        relations.befriend(other.id, "after all")
        past.save(relations, actor=user.id)
