"""Who asks to be let in again, and what the staff said: the last request of each user."""

from __future__ import annotations

from domain.base import ERASED
from domain.erasures import Erasure
from domain.reenable_requests import ReenableRequest
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

reenable_requests = Projection("reenable_requests", "reenable_request")


@reenable_requests.on(ReenableRequest.Filed)
def filed(fact: Fact[ReenableRequest.Filed], db: Writer) -> None:
    db.execute(
        "INSERT INTO reenable_request (user_id, text, state, filed_at) VALUES (%s, %s, 'open', %s)"
        " ON CONFLICT (user_id) DO UPDATE SET text = excluded.text, state = 'open', filed_at = excluded.filed_at,"
        " reason = NULL, answered_at = NULL, answered_by = NULL",
        (fact.event.user_id, fact.event.text, fact.at),
    )


@reenable_requests.on(ReenableRequest.Approved)
def approved(fact: Fact[ReenableRequest.Approved], db: Writer) -> None:
    _answer(fact, "approved", None, db)


@reenable_requests.on(ReenableRequest.Rejected)
def rejected(fact: Fact[ReenableRequest.Rejected], db: Writer) -> None:
    _answer(fact, "rejected", fact.event.reason, db)


@reenable_requests.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    db.execute("UPDATE reenable_request SET text = %s WHERE user_id = %s", (ERASED, fact.event.user_id))


def _answer(fact: AnyFact, state: str, reason: str | None, db: Writer) -> None:
    db.update(
        "UPDATE reenable_request SET state = %s, reason = %s, answered_at = %s, answered_by = %s WHERE user_id = %s",
        (state, reason, fact.at, fact.actor_id, fact.event.user_id),
    )
