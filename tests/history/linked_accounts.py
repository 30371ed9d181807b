"""A member's account is linked to three more, of which two stay linked to each other."""

from __future__ import annotations

from uuid import uuid4

from domain.linked_accounts import LinkGroup
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        first, second, third = (uuid4() for _ in range(3))
        linked = LinkGroup.form(uuid4(), user.id, first, "the same printer")
        linked.join(second, "the same printer, too")
        linked.leave(user.id, "a flatmate")
        parted = LinkGroup.form(uuid4(), user.id, third, "the same name")
        parted.dissolve("a common name")
        past.save(linked, parted)
