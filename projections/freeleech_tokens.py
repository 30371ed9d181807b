"""How many freeleech tokens a user has, and what they were spent on."""

from __future__ import annotations

from uuid import UUID

from domain.freeleech_tokens import FreeleechTokens
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

freeleech_tokens = Projection("freeleech_tokens", "freeleech_tokens", "token_spent")


@freeleech_tokens.on(FreeleechTokens.Opened)
def opened(fact: Fact[FreeleechTokens.Opened], db: Writer) -> None:
    db.execute(
        "INSERT INTO freeleech_tokens (user_id, balance, version, changed_pos) VALUES (%s, 0, %s, %s)",
        (fact.event.user_id, fact.version, fact.position),
    )


@freeleech_tokens.on(FreeleechTokens.Granted)
def granted(fact: Fact[FreeleechTokens.Granted], db: Writer) -> None:
    _move_balance(fact, db, fact.event.user_id, fact.event.tokens)


@freeleech_tokens.on(FreeleechTokens.Spent)
def spent(fact: Fact[FreeleechTokens.Spent], db: Writer) -> None:
    event = fact.event
    _move_balance(fact, db, event.user_id, -event.tokens)
    db.execute(
        "INSERT INTO token_spent (user_id, position, torrent_id, tokens, spent_at, until)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (event.user_id, fact.position, event.torrent_id, event.tokens, fact.at, event.until),
    )


def _move_balance(fact: AnyFact, db: Writer, user_id: UUID, tokens: int) -> None:
    db.update(
        "UPDATE freeleech_tokens SET balance = balance + %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (tokens, fact.version, fact.position, user_id),
    )
