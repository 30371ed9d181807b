"""What each user lets others see, for the queries that show anything of it."""

from __future__ import annotations

from domain.privacy import Privacy
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

privacy = Projection("privacy", "privacy")


@privacy.on(Privacy.Chosen)
def chosen(fact: Fact[Privacy.Chosen], db: Writer) -> None:
    db.execute(
        "INSERT INTO privacy (user_id, hidden, counted, version, changed_pos) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET hidden = excluded.hidden, counted = excluded.counted,"
        " version = excluded.version, changed_pos = excluded.changed_pos",
        (fact.event.user_id, fact.event.hidden, fact.event.counted, fact.version, fact.position),
    )
