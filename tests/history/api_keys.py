"""One key stays; one, which ends by itself, is revoked."""

from __future__ import annotations

from uuid import uuid4

from domain.api_keys import ApiKey, Scope
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        for name in ("seedbox", "phone"):
            key = ApiKey.issue(uuid4(), user.id, name, [Scope.READ], NOW if name == "phone" else None)
            if name == "phone":
                key.revoke("revoked")
            past.save(key, actor=user.id)
