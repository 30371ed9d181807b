"""Who waits for an archive, and until when the last one can be fetched."""

from __future__ import annotations

from domain.exports import Export
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

exports = Projection("exports", "export")


@exports.on(Export.Requested)
def requested(fact: Fact[Export.Requested], db: Writer) -> None:
    db.execute(
        "INSERT INTO export (user_id, state, requested_at) VALUES (%s, 'requested', %s)"
        " ON CONFLICT (user_id) DO UPDATE SET state = excluded.state, requested_at = excluded.requested_at",
        (fact.event.user_id, fact.at),
    )


@exports.on(Export.Built)
def built(fact: Fact[Export.Built], db: Writer) -> None:
    db.update(
        "UPDATE export SET state = 'built', built_at = %s, until = %s, size = %s WHERE user_id = %s",
        (fact.at, fact.event.until, fact.event.size, fact.event.user_id),
    )
