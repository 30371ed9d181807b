"""What is done with one's sessions: ending one, or all others."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from psycopg import Cursor

from commands.users import ended_sessions
from domain.sessions import Session
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Clock, StoreDep
from runtime.http.types import Id
from runtime.store import NoSuchThing
from runtime.tokens import end_session, end_sessions

router = APIRouter(prefix="/api/v1/users/me/sessions", tags=["users"], route_class=CommandRoute)


@router.delete("", status_code=204)
def revoke_other_sessions(caller: AccountOwner, store: StoreDep, now: Clock) -> None:
    """Sign out everywhere else. API keys stay: programs have no session, and each key is revoked by itself."""
    others = ended_sessions(store, caller.user_id, "revoked", now, but=caller.session_id)

    def sign_out(cursor: Cursor[Any]) -> None:
        end_sessions(cursor, caller.user_id, now, but=caller.session_id)

    if others:
        store.save(*others, beside=sign_out)


@router.delete("/{session_id}", status_code=204)
def revoke_session(session_id: Id, caller: AccountOwner, store: StoreDep, now: Clock) -> None:
    """Sign out one of the caller's sessions."""
    session = store.get(Session, session_id)
    if session.user_id != caller.user_id:
        raise NoSuchThing("no such session")
    session.end("revoked")

    def sign_out(cursor: Cursor[Any]) -> None:
        end_session(cursor, session_id, now)

    store.save(session, beside=sign_out)
