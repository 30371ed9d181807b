"""Names are banned and allowed again, on the site's list and on one that nothing asks."""

from __future__ import annotations

from uuid import uuid4

from domain.usernames import BANNED_NAMES, BannedNames
from tests.history.past import Past


def tell(past: Past) -> None:
    for list_id, kept in ((BANNED_NAMES, "*staff*"), (uuid4(), "*bot")):
        names = BannedNames.open(list_id)
        for pattern in (kept, f"{kept}gone"):
            names.ban(pattern, "passes for the site's own")
        names.allow(f"{kept}gone", "nobody would")
        past.save(names)
