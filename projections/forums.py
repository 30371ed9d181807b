"""The boards and who may read and write in them."""

from __future__ import annotations

from domain.forums import Forum
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

forums = Projection("forums", "forum", stream="forum_id")


@forums.on(Forum.Opened)
def opened(fact: Fact[Forum.Opened], db: Writer) -> None:
    db.execute(
        "INSERT INTO forum (forum_id, slug, name, description, rank, read_level, write_level)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            fact.stream_id,
            fact.event.slug,
            fact.event.name,
            fact.event.description,
            fact.event.rank,
            fact.event.read_level,
            fact.event.write_level,
        ),
    )
