"""What is done with e-mail addresses: confirming them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.claims import hold
from domain.claims import Claim, personal_claim_id
from domain.emails import EmailTaken, EmailTokenInvalid, email_key
from domain.users import User
from runtime.credentials import email_token_user, new_email_token, use_email_token
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Clock
from runtime.http.types import Command
from runtime.mail import post
from runtime.settings import Settings
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)

Token = Annotated[str, Field(max_length=256)]


class VerifyEmail(Command):
    token: Token


@router.post("/verify-email")
def verify_email(command: VerifyEmail, store: AnonymousStore, now: Clock) -> Receipt:
    """Confirm an address with the token of its mail."""
    with store.history.pool.connection() as connection:
        user_id = email_token_user(connection, command.token, now)
    if user_id is None:
        raise EmailTokenInvalid("this link does not work any more")
    user = store.get(User, user_id)
    user.verify_email()

    def burn(cursor: Cursor[Any]) -> None:
        if not use_email_token(cursor, command.token, now):
            raise EmailTokenInvalid("this link does not work any more")

    return store.acting_as(user_id).save(user, beside=burn)


def mail_confirmation(
    cursor: Cursor[Any], settings: Settings, user_id: UUID, username: str, email: str, now: datetime
) -> None:
    """Send a newcomer the link that confirms the address."""
    token = new_email_token(cursor, user_id, now)
    # The token is in the fragment, which browsers send to nobody and servers cannot log.
    link = f"{settings.server.base_url}/#verify-email={token}"
    text = f"Welcome, {username}.\n\nConfirm your address within a day:\n\n{link}\n"
    post(cursor, settings, to=email, subject="Confirm your address", text=text)


def held_email(store: Store, site_secret: bytes, email: str, user_id: UUID) -> list[Claim]:
    """The address, held by this user; raises `EmailTaken`."""
    address = personal_claim_id(site_secret, "email", email_key(email))
    return hold(store, address, "email", user_id, EmailTaken("this address has an account"))
