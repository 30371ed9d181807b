"""What is done with e-mail addresses: confirming them, exchanging them, and taking an exchange back."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.claims import hold, let_go
from commands.passwords import must_know_password
from commands.security_notices import notice_to
from commands.users import end_access, ended_access
from domain.claims import Claim, personal_claim_id
from domain.emails import (
    CONFIRM_WITHIN,
    MAIL_AGAIN_AFTER,
    UNDO_WITHIN,
    EmailChange,
    EmailTaken,
    EmailTokenInvalid,
    MailedLately,
    check_cool_off,
    check_email,
    email_key,
)
from domain.password_resets import RESET, RESET_WITHIN
from domain.passwords import PASSWORD_MAX
from domain.users import AlreadyVerified, User
from runtime.credentials import forget_password
from runtime.email_tokens import Bearer, bearer, issued_since, new_token, use_token, void_tokens
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, AnonymousStore, Clock, SecretsDep, SettingsDep, StoreDep
from runtime.http.types import Command
from runtime.mail import post
from runtime.mail_bounds import Occasion, mailbox
from runtime.settings import Settings
from runtime.store import NOBODY, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["auth"], route_class=CommandRoute)

#: What the links in mails are for; their names stand in the links.
VERIFY, CONFIRM, TAKE_BACK = "verify-email", "confirm-email", "take-back-email"

Token = Annotated[str, Field(max_length=256)]


class VerifyEmail(Command):
    token: Token


class ChangeEmail(Command):
    email: str
    password: Annotated[str, Field(max_length=PASSWORD_MAX)]


class ConfirmEmail(Command):
    token: Token


class TakeBackEmail(Command):
    token: Token


@router.post("/auth/verify-email")
def verify_email(command: VerifyEmail, store: AnonymousStore, secrets: SecretsDep, now: Clock) -> Receipt:
    """Confirm an address with the token of its mail; of several accounts that named it the first one gets it."""
    user = store.get(User, _bearer(store, command.token, VERIFY, now).user_id)
    user.verify_email()
    claims = held_email(store, secrets.site, user.email, user.id)
    return store.acting_as(user.id).save(user, *claims, beside=lambda cursor: _burn(cursor, command.token, now))


@router.post("/users/me/email/confirmation", status_code=204)
def mail_another_confirmation(caller: AccountOwner, store: StoreDep, settings: SettingsDep, now: Clock) -> None:
    """Send the link that confirms the caller's address once more; at most every five minutes."""
    user = store.get(User, caller.user_id)
    if user.email_verified:
        raise AlreadyVerified("this address is confirmed already")
    with store.history.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        if issued_since(cursor, user.id, VERIFY, now - MAIL_AGAIN_AFTER):
            raise MailedLately("a link was sent less than five minutes ago")
        mail_confirmation(cursor, settings, user.id, user.username, user.email, now)


@router.post("/users/me/email", status_code=202)
def change_email(
    command: ChangeEmail,
    caller: AccountOwner,
    store: StoreDep,
    settings: SettingsDep,
    secrets: SecretsDep,
    now: Clock,
) -> Receipt:
    """Ask for another address. It counts once it has answered the mail that is sent to it; the present one is told and
    can take that back. The answer is the same when the address is somebody else's."""
    user = store.get(User, caller.user_id)
    must_know_password(store, user.id, command.password, now)
    check_email(command.email)
    check_cool_off(user.email_changed_at, now=now)
    change = EmailChange.ask(new_id(), user.id, command.email, user.email)
    other = user_with_email(store, secrets.site, command.email)

    def tell_new(cursor: Cursor[Any]) -> None:
        if other is None or other.id == user.id:
            token = new_token(cursor, user.id, CONFIRM, now, CONFIRM_WITHIN, change.id)
            url = link(settings, CONFIRM, token)
            text = f"{user.username}, confirm within a day that this is your new address:\n\n{url}\n"
        else:
            text = f"{other.username}, another account asked for your address. It stays yours, do nothing.\n"
        subject = "Confirm your new address"
        post(cursor, settings, to=change.email, subject=subject, text=text, occasion=Occasion.NAMED)

    def tell_former(cursor: Cursor[Any]) -> None:
        _offer_to_take_back(cursor, settings, user, change, now, "asked to change your address")

    def tell_both(cursor: Cursor[Any]) -> None:
        void_tokens(cursor, user.id, CONFIRM)  # the last wish counts
        # Always in this order: two who ask for each other's address at the same moment would wait for each other.
        told = [(mailbox(change.email), tell_new), (mailbox(change.former), tell_former)]
        for _, tell in sorted(told, key=itemgetter(0)):
            tell(cursor)

    return store.save(change, beside=tell_both)


@router.post("/auth/confirm-email")
def confirm_email(
    command: ConfirmEmail, store: AnonymousStore, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> Receipt:
    """Make the new address the account's, with the token that was sent to it."""
    found = _bearer(store, command.token, CONFIRM, now)
    user, change = store.get(User, found.user_id), _change(store, found)
    change.confirm()
    user.change_email(change.email)
    claims = held_email(store, secrets.site, change.email, user.id)

    def confirm(cursor: Cursor[Any]) -> None:
        _burn(cursor, command.token, now)
        void_tokens(cursor, user.id, VERIFY, CONFIRM, RESET)
        _offer_to_take_back(cursor, settings, user, change, now, "changed your address")

    return store.acting_as(user.id).save(user, change, *claims, beside=confirm)


@router.post("/auth/take-back-email")
def take_back_email(
    command: TakeBackEmail, store: AnonymousStore, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> Receipt:
    """Cancel a change of the address, or undo it, with the token that was sent to the former one.

    Whoever made the change knew the password: undoing it ends the password, all sessions and API keys, and sends a link
    for a new password.
    """
    found = _bearer(store, command.token, TAKE_BACK, now)
    user, change = store.get(User, found.user_id), _change(store, found)
    confirmed = change.confirmed_at is not None
    change.take_back(now=now)
    acting = store.acting_as(user.id)
    if not confirmed:
        return acting.save(change, beside=lambda cursor: _stop(cursor, command.token, user.id, now))
    same = email_key(user.email) == email_key(change.former)  # but for its case
    freed = [] if same else _released(store, secrets.site, user.email, user.id)
    claims = held_email(store, secrets.site, change.former, user.id)
    user.restore_email(change.former)

    def undo(cursor: Cursor[Any]) -> None:
        _stop(cursor, command.token, user.id, now)
        void_tokens(cursor, user.id, VERIFY, TAKE_BACK, RESET)
        end_access(cursor, user.id, now)
        forget_password(cursor, user.id)
        why = "Your address is what it was, and everybody is signed out."
        mail_reset_link(cursor, settings, user, now, why, Occasion.OWNER)

    ended = ended_access(store, user.id, "email_change_undone", now)
    return acting.save(change, user, *freed, *claims, *ended, beside=undo)


def settle_email_change(store: Store, site_secret: bytes, change_id: UUID, now: datetime) -> None:
    """Give the former address back once the change cannot be undone; nothing happens before that, or twice."""
    change = store.get(EmailChange, change_id)
    change.settle(now=now)
    if not change.pending_events:
        return
    user = store.get(User, change.user_id)
    needed = email_key(user.email) == email_key(change.former)
    store.save(change, *([] if needed else _released(store, site_secret, change.former, user.id)))


def mail_confirmation(
    cursor: Cursor[Any], settings: Settings, user_id: UUID, username: str, email: str, now: datetime
) -> None:
    """Send a newcomer the link that confirms the address, and void those from before."""
    token = new_token(cursor, user_id, VERIFY, now, CONFIRM_WITHIN)
    text = f"Welcome, {username}.\n\nConfirm your address within a day:\n\n{link(settings, VERIFY, token)}\n"
    if post(cursor, settings, to=email, subject="Confirm your address", text=text, occasion=Occasion.NAMED):
        void_tokens(cursor, user_id, VERIFY, but=token)


def tell_owner(cursor: Cursor[Any], settings: Settings, owner: User, email: str) -> None:
    """Tell an account's owner that somebody registers with its address; the answer to the request does not."""
    text = (
        f"{owner.username}, somebody makes an account with your address. You have one: sign in, or ask for a"
        " new password.\n"
        "If that was not you, there is nothing to do.\n"
    )
    post(cursor, settings, to=email, subject="Confirm your address", text=text, occasion=Occasion.NAMED)


def mail_reset_link(
    cursor: Cursor[Any], settings: Settings, user: User, now: datetime, why: str, occasion: Occasion
) -> None:
    """Send the user a link for a new password; those from before stop working."""
    token = new_token(cursor, user.id, RESET, now, RESET_WITHIN)
    text = f"{user.username}: {why}\n\nChoose a new password within an hour:\n\n{link(settings, RESET, token)}\n"
    if post(cursor, settings, to=user.email, subject="A new password", text=text, occasion=occasion):
        void_tokens(cursor, user.id, RESET, but=token)


def link(settings: Settings, purpose: str, token: str) -> str:
    """The token is in the fragment, which browsers send to nobody and servers cannot log. The address is that of the
    settings, whatever Host a request named."""
    return f"{settings.server.base_url}/#{purpose}={token}"


def held_email(store: Store, site_secret: bytes, email: str, user_id: UUID) -> list[Claim]:
    """The address, held by this user; raises `EmailTaken`."""
    return hold(store, _claim_id(site_secret, email), "email", user_id, EmailTaken("this address has an account"))


def user_with_email(store: Store, site_secret: bytes, email: str) -> User | None:
    """Whose address this is, or was until lately. The same is looked up whether or not anybody has it."""
    claim = store.find(Claim, _claim_id(site_secret, email))
    return store.find(User, (claim and claim.holder_id) or NOBODY)


def _released(store: Store, site_secret: bytes, email: str, user_id: UUID) -> list[Claim]:
    return let_go(store, _claim_id(site_secret, email), user_id)


def _claim_id(site_secret: bytes, email: str) -> UUID:
    return personal_claim_id(site_secret, "email", email_key(email))


def _bearer(store: Store, token: str, purpose: str, now: datetime) -> Bearer:
    with store.history.pool.connection() as connection:
        found = bearer(connection, token, purpose, now)
    if found is None:
        raise EmailTokenInvalid("this link does not work any more")
    return found


def _change(store: Store, found: Bearer) -> EmailChange:
    assert found.subject_id is not None
    return store.get(EmailChange, found.subject_id)


def _burn(cursor: Cursor[Any], token: str, now: datetime) -> None:
    if not use_token(cursor, token, now):
        raise EmailTokenInvalid("this link does not work any more")


def _stop(cursor: Cursor[Any], token: str, user_id: UUID, now: datetime) -> None:
    _burn(cursor, token, now)
    void_tokens(cursor, user_id, CONFIRM)


def _offer_to_take_back(
    cursor: Cursor[Any], settings: Settings, user: User, change: EmailChange, now: datetime, what: str
) -> None:
    token = new_token(cursor, user.id, TAKE_BACK, now, UNDO_WITHIN, change.id)
    text = (
        f"{user.username}, somebody who knows your password {what}.\n\nIf that was not you, take it back:\n\n"
        f"{link(settings, TAKE_BACK, token)}\n"
    )
    to, occasion = change.former, notice_to(user)
    post(cursor, settings, to=to, subject="Your address changes", text=text, occasion=occasion)
