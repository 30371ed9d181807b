"""What is done about forgotten passwords: asking for a link, and choosing a new password with it.

Nothing about an answer tells whether the address has an account: the request is put aside, and a worker looks at it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import BaseModel, Field

from commands.auth import WRONG, TotpRequired, WrongTotp
from commands.emails import mail_reset_link, user_with_email
from commands.login_defence import guessing
from commands.passwords import new_hash
from commands.security_notices import tell
from commands.users import ended_sessions
from domain.base import SYSTEM
from domain.emails import EmailChangedLately, check_cool_off, check_email, email_key
from domain.password_resets import ASK_AGAIN_AFTER, RESET, ResetTokenInvalid
from domain.security_notices import Notice
from domain.users import User
from runtime import second_factor
from runtime.credentials import set_password_hash
from runtime.email_tokens import bearer, issued_since, use_token, void_tokens
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Clock, PlatformDep
from runtime.http.types import Command
from runtime.login_defence import forgive_account
from runtime.mail import post
from runtime.mail_bounds import Occasion
from runtime.platform import Platform
from runtime.reset_requests import put_aside, take_one
from runtime.store import Receipt, Store
from runtime.tokens import end_sessions

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)

#: Requests that one look of a worker answers.
AT_ONCE = 200


class ForgotPassword(Command):
    email: str


class ResetPassword(Command):
    token: Annotated[str, Field(max_length=256)]
    password: str
    totp: Annotated[str | None, Field(max_length=32)] = None


class Asked(BaseModel):
    """Said to everybody."""

    message: str = "if this address has an account, a mail is on its way"


@router.post("/forgot-password", status_code=202)
def forgot_password(command: ForgotPassword, store: AnonymousStore, platform: PlatformDep) -> Asked:
    """Ask for a link to choose a new password with."""
    check_email(command.email)
    with store.history.pool.connection() as connection:
        put_aside(connection, platform.settings, command.email)
    return Asked()


@router.post("/reset-password")
def reset_password(command: ResetPassword, store: AnonymousStore, platform: PlatformDep, now: Clock) -> Receipt:
    """Choose a new password with the token of the mail. Every session ends; a second factor is asked for as at
    sign-in, and API keys stay."""
    with platform.pool.connection() as connection:
        found = bearer(connection, command.token, RESET, now)
    if found is None:
        raise ResetTokenInvalid("this link does not work any more")
    user = store.get(User, found.user_id)
    if user.two_factor and command.totp is None:
        raise TotpRequired("send the code of your second factor as well")
    user.reset_password()
    hashed = new_hash(command.password, user.username, user.email)
    ended = ended_sessions(store, user.id, "password_reset", now)

    def keep(cursor: Cursor[Any]) -> None:
        if not use_token(cursor, command.token, now):
            raise ResetTokenInvalid("this link does not work any more")
        sealer = platform.sealer(second_factor.PURPOSE)
        if user.two_factor and not second_factor.use_code(cursor, sealer, user.id, command.totp or "", now):
            raise WrongTotp("the code is wrong, or was used")
        void_tokens(cursor, user.id, RESET)
        set_password_hash(cursor, user.id, hashed, now)
        forgive_account(cursor, user.id)
        end_sessions(cursor, user.id, now)
        text = f"{user.username}, your password was set anew, and everybody was signed out. API keys still work.\n"
        tell(cursor, platform.settings, user, Notice("Your password was changed", text))

    acting = store.acting_as(user.id)
    with _as_a_guess(user, acting, now):
        return acting.save(user, *ended, beside=keep)


def answer_reset_requests(platform: Platform, now: datetime) -> None:
    """Mail a link to every address that was asked about and has an account; workers share the requests."""
    for _ in range(AT_ONCE):
        with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            email = take_one(cursor, platform.settings)
            if email is None:
                return
            _answer(cursor, platform, email, now)


def _answer(cursor: Cursor[Any], platform: Platform, email: str, now: datetime) -> None:
    user = user_with_email(platform.store(SYSTEM), platform.secrets.site, email)
    if user is None or email_key(user.email) != email_key(email) or user.erased:
        return
    if issued_since(cursor, user.id, RESET, now - ASK_AGAIN_AFTER):
        return
    try:
        check_cool_off(user.email_changed_at, now=now)
    except EmailChangedLately as refusal:
        text, subject = f"{refusal}\n", "No new password yet"
        post(cursor, platform.settings, to=user.email, subject=subject, text=text, occasion=Occasion.LINK)
        return
    mail_reset_link(cursor, platform.settings, user, now, "somebody asked for a new password", Occasion.LINK)


def _as_a_guess(user: User, store: Store, now: datetime) -> AbstractContextManager[Any]:
    """Codes are not tried more often here than at sign-in."""
    return guessing(store, user.id, now, wrong=WRONG, with_code=True) if user.two_factor else nullcontext()
