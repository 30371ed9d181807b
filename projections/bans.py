"""Bans as they are shown, and which rights they take away while they last."""

from __future__ import annotations

from uuid import UUID

from domain.bans import TAKES, Ban, BanKind
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

bans = Projection("bans", "ban", stream="ban_id")


@bans.on(Ban.Imposed)
def imposed(fact: Fact[Ban.Imposed], db: Writer) -> None:
    db.execute(
        "INSERT INTO ban (ban_id, user_id, kind, takes, state, reason, imposed_by, imposed_at, until, version,"
        " changed_pos) VALUES (%s, %s, %s, %s, 'active', %s, %s, %s, %s, %s, %s)",
        (
            fact.stream_id,
            fact.event.user_id,
            fact.event.kind,
            sorted(str(permission) for permission in TAKES[BanKind(fact.event.kind)]),
            fact.event.reason,
            fact.actor_id,
            fact.at,
            fact.event.until,
            fact.version,
            fact.position,
        ),
    )


@bans.on(Ban.Lifted)
def lifted(fact: Fact[Ban.Lifted], db: Writer) -> None:
    _end(fact, "lifted", fact.event.reason, fact.actor_id, db)


@bans.on(Ban.Expired)
def expired(fact: Fact[Ban.Expired], db: Writer) -> None:
    _end(fact, "expired", None, None, db)


def _end(fact: AnyFact, state: str, reason: str | None, ended_by: UUID | None, db: Writer) -> None:
    db.update(
        "UPDATE ban SET state = %s, lift_reason = %s, ended_by = %s, ended_at = %s, version = %s, changed_pos = %s"
        " WHERE ban_id = %s",
        (state, reason, ended_by, fact.at, fact.version, fact.position, fact.stream_id),
    )
