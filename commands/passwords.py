"""What is done with passwords: replacing the one that is known."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.login_defence import guessing
from commands.security_notices import tell
from commands.users import ended_sessions
from domain.errors import NotAllowed
from domain.password_resets import RESET
from domain.passwords import PASSWORD_MAX, check_password
from domain.security_notices import Notice
from domain.users import User
from runtime.credentials import password_hash, set_password_hash
from runtime.email_tokens import void_tokens
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Clock, SettingsDep, StoreDep
from runtime.http.types import Command
from runtime.login_defence import forgive_account
from runtime.passwords import hash_password, turn, verify_password
from runtime.store import Receipt, Store
from runtime.tokens import end_sessions

router = APIRouter(prefix="/api/v1", tags=["users"], route_class=CommandRoute)


class WrongPassword(NotAllowed):
    """The present password is another one."""


class ChangePassword(Command):
    current: Annotated[str, Field(max_length=PASSWORD_MAX)]
    new: str


@router.post("/users/me/password")
def change_password(
    command: ChangePassword, caller: AccountOwner, store: StoreDep, settings: SettingsDep, now: Clock
) -> Receipt:
    """Replace the caller's password and end all other sessions; the caller's address is told."""
    user = store.get(User, caller.user_id)
    must_know_password(store, user.id, command.current, now)
    hashed = new_hash(command.new, user.username, user.email)
    user.change_password()

    def keep(cursor: Cursor[Any]) -> None:
        set_password_hash(cursor, user.id, hashed, now)
        forgive_account(cursor, user.id)
        void_tokens(cursor, user.id, RESET)
        end_sessions(cursor, user.id, now, but=caller.session_id)
        text = f"{user.username}, your password was changed. If that was not you, ask for a new one.\n"
        tell(cursor, settings, user, Notice("Your password was changed", text))

    others = ended_sessions(store, user.id, "password_changed", now, but=caller.session_id)
    return store.save(user, *others, beside=keep)


def new_hash(password: str, username: str, email: str) -> str:
    """What to store of a new password of that account; raises `WeakPassword`, `Busy`."""
    with turn():
        check_password(password, username, email)
    return hash_password(password)


def must_know_password(store: Store, user_id: UUID, password: str, now: datetime) -> None:
    """Raises `WrongPassword`, or `TooManyTries`: a stolen access token lets nobody guess more often."""
    with guessing(store, user_id, now, wrong={WrongPassword: "password"}):
        must_match(store, user_id, password)


def must_match(store: Store, user_id: UUID, password: str) -> None:
    """The same within a guess that is under way; raises `WrongPassword`."""
    with store.history.pool.connection() as connection:
        stored = password_hash(connection, user_id)
    if not verify_password(stored, password):
        raise WrongPassword("this is not your password")
