"""Somebody signs in, and out."""

from __future__ import annotations

from uuid import uuid4

from domain.sessions import Session
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        session = Session.start(uuid4(), user.id)
        session.end("logout")
        past.save(session, actor=user.id)
