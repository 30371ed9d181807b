"""Who is being forgotten and who was proposed to be; only ids are left of them afterwards."""

from __future__ import annotations

from domain.base import ERASED
from domain.erasures import Erasure, ErasureProposal
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

erasures = Projection("erasures", "erasure", "erasure_proposal")


@erasures.on(ErasureProposal.Made)
def made(fact: Fact[ErasureProposal.Made], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO erasure_proposal (proposal_id, user_id, proposer_id, reason, state, made_at, until, version)"
        " VALUES (%s, %s, %s, %s, 'open', %s, %s, %s)",
        (fact.stream_id, event.user_id, event.proposer_id, event.reason, fact.at, event.until, fact.version),
    )


@erasures.on(ErasureProposal.Approved)
def approved(fact: Fact[ErasureProposal.Approved], db: Writer) -> None:
    _answer(fact, "approved", None, db)


@erasures.on(ErasureProposal.Declined)
def declined(fact: Fact[ErasureProposal.Declined], db: Writer) -> None:
    _answer(fact, "declined", fact.event.reason, db)


@erasures.on(Erasure.Begun)
def begun(fact: Fact[Erasure.Begun], db: Writer) -> None:
    db.execute(
        "INSERT INTO erasure (user_id, proposal_id, begun_at) VALUES (%s, %s, %s)",
        (fact.event.user_id, fact.event.proposal_id, fact.at),
    )


@erasures.on(Erasure.RetentionEnded)
def retention_ended(fact: Fact[Erasure.RetentionEnded], db: Writer) -> None:
    db.execute("INSERT INTO erasure (user_id, begun_at) VALUES (%s, %s)", (fact.event.user_id, fact.at))


@erasures.on(Erasure.Completed)
def completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    db.update(
        "UPDATE erasure SET completed_at = %s, completed_position = %s WHERE user_id = %s",
        (fact.at, fact.position, fact.event.user_id),
    )
    db.execute(
        "UPDATE erasure_proposal SET reason = %s, answer = CASE WHEN answer IS NOT NULL THEN %s END WHERE user_id = %s",
        (ERASED, ERASED, fact.event.user_id),
    )


def _answer(fact: AnyFact, state: str, answer: str | None, db: Writer) -> None:
    db.update(
        "UPDATE erasure_proposal SET state = %s, answered_by = %s, answered_at = %s, answer = %s, version = %s"
        " WHERE proposal_id = %s",
        (state, fact.actor_id, fact.at, answer, fact.version, fact.stream_id),
    )
