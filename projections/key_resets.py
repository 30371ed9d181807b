"""When which key was reset, by whom; and the number that a user's feed keys are derived from."""

from __future__ import annotations

from domain.feed_keys import FeedKey
from domain.key_resets import ResetKind
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

key_resets = Projection("key_resets", "key_reset")


@key_resets.on(User.PasskeyReset)
def passkey_reset(fact: Fact[User.PasskeyReset], db: Writer) -> None:
    _note(fact, ResetKind.PASSKEY, fact.event.passkey_no, db)


@key_resets.on(FeedKey.Reset)
def feed_key_reset(fact: Fact[FeedKey.Reset], db: Writer) -> None:
    _note(fact, ResetKind.RSS_KEY, fact.event.key_no, db)


def _note(fact: AnyFact, kind: ResetKind, key_no: int, db: Writer) -> None:
    user_id = fact.event.user_id if kind is ResetKind.RSS_KEY else fact.stream_id
    db.execute(
        "INSERT INTO key_reset (user_id, kind, key_no, reset_at, reset_by) VALUES (%s, %s, %s, %s, %s)",
        (user_id, kind, key_no, fact.at, fact.actor_id),
    )
