"""When each account was last signed in to, or opened again by the staff."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.sessions import Session
from domain.users import User
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

inactivity = Projection("inactivity", "last_sign_in")


@inactivity.on(Session.Started)
def signed_in(fact: Fact[Session.Started], db: Writer) -> None:
    _seen(fact.event.user_id, fact.at, db)


@inactivity.on(User.Enabled)
def enabled(fact: Fact[User.Enabled], db: Writer) -> None:
    """Who was let in again has the whole time once more."""
    _seen(fact.stream_id, fact.at, db)


def _seen(user_id: UUID, at: datetime, db: Writer) -> None:
    db.execute(
        "INSERT INTO last_sign_in (user_id, at) VALUES (%s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET at = greatest(last_sign_in.at, excluded.at)",
        (user_id, at),
    )
