"""Somebody is proposed, declined, proposed again and forgotten, at the wish of each member."""

from __future__ import annotations

from uuid import uuid4

from domain.api_keys import ApiKey, Scope
from domain.base import SYSTEM
from domain.erasures import Erasure, ErasureProposal
from domain.users import User
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for n, staff in enumerate(past.users):
        _forget(past, staff, f"forgotten-{n}")


def _forget(past: Past, staff: User, name: str) -> None:
    user = User.register(uuid4(), name, f"{name}@example.org", "member")
    key = ApiKey.issue(uuid4(), user.id, f"key of {name}", [Scope.READ])
    past.save(user, key, actor=user.id)
    first, second = (ErasureProposal.make(uuid4(), user.id, staff.id, f"{name} asked by mail", now=NOW) for _ in "12")
    first.decline(f"is this {name}?", now=NOW)
    second.approve(SYSTEM, now=NOW)
    user.erase()
    erasure = Erasure.begin(user.id, second.id)
    erasure.complete()
    past.save(first, second, user, erasure, actor=staff.id)
