"""Which names nobody may take."""

from __future__ import annotations

from domain.usernames import BannedNames
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

usernames = Projection("usernames", "banned_name")


@usernames.on(BannedNames.Banned)
def banned(fact: Fact[BannedNames.Banned], db: Writer) -> None:
    db.execute(
        "INSERT INTO banned_name (pattern, reason, banned_by, banned_at) VALUES (%s, %s, %s, %s)",
        (fact.event.pattern, fact.event.reason, fact.actor_id, fact.at),
    )


@usernames.on(BannedNames.Allowed)
def allowed(fact: Fact[BannedNames.Allowed], db: Writer) -> None:
    db.execute("DELETE FROM banned_name WHERE pattern = %s", (fact.event.pattern,))
