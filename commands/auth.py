"""Coming in and going out: sign-in and its tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import BaseModel, Field

from commands.bans import ban_in_force
from commands.login_defence import Attempt, guessing
from commands.security_notices import tell
from commands.usernames import user_named, username_claim_id
from commands.users import ended_sessions
from domain.bans import BanKind
from domain.base import SYSTEM
from domain.errors import DomainError
from domain.groups import Group, group_id
from domain.passwords import PASSWORD_MAX
from domain.permissions import Permission
from domain.security_notices import new_device, recovery_code_used, session_stolen
from domain.sessions import Session, device_of
from domain.users import FIRST_GROUP, User
from runtime import second_factor
from runtime.credentials import password_hash
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Clock, PlatformDep
from runtime.http.types import Command
from runtime.passwords import verify_password
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import NOBODY, Receipt, Store, new_id
from runtime.tokens import Pair, TokenReused, Unauthenticated, end_session, end_sessions, session_of

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)

Password = Annotated[str, Field(max_length=PASSWORD_MAX)]
Token = Annotated[str, Field(max_length=256)]


class WrongCredentials(Unauthenticated):
    """No such name, another password, or an account that may not come in: never said which."""


class TotpRequired(Unauthenticated):
    """The password is right; a code of the second factor is due."""


class WrongTotp(Unauthenticated):
    """The code is wrong, or was used."""


class Login(Command):
    username: Annotated[str, Field(max_length=256)]
    password: Password
    totp: Annotated[str | None, Field(max_length=32)] = None


class Refresh(Command):
    refresh_token: Token


class Logout(Command):
    refresh_token: Token
    everywhere: bool = False


class SignedIn(BaseModel):
    """`expires_in` is the access token's life in seconds; `position` is 0 when nothing was recorded."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    position: int


#: What makes a sign-in a failed guess, and at which of the secrets.
WRONG: dict[type[DomainError], str] = {WrongCredentials: "password", WrongTotp: "second_factor"}


@router.post("/login")
def login(command: Login, store: AnonymousStore, platform: PlatformDep, now: Clock) -> SignedIn:
    """Sign in. Whatever is wrong before the second factor, the answer and its time are the same; so is 429 for who
    has failed too often."""
    found = account_named(store, platform.secrets.site, command.username)
    with guessing(store, found.id, now, wrong=WRONG, with_code=command.totp is not None) as attempt:
        user = _proven(store, found, command.password, now)
        if user.two_factor and command.totp is None:
            raise TotpRequired("send the code of your second factor as well")
        begun = _unrepeatable(store).acting_as(user.id)
        return _start_session(begun, platform, user, command.totp, attempt)


@router.post("/refresh")
def refresh(command: Refresh, store: AnonymousStore, platform: PlatformDep, now: Clock) -> SignedIn:
    """Exchange a refresh token for new tokens. One that comes back late has been stolen: its session ends."""
    try:
        with store.history.pool.connection() as connection:
            pair = platform.tokens.rotate(connection, command.refresh_token, now)
    except TokenReused as reused:
        _end(store, SYSTEM, reused.session_id, "reuse", now, tell_by=platform.settings)
        raise
    user = store.get(User, pair.user_id)
    banned = ban_in_force(store, user.id, BanKind.ACCOUNT, now)
    if banned or not _may_come_in(user, store.get(Group, group_id(user.group))):
        _end(store, SYSTEM, pair.session_id, "disabled", now)
        raise Unauthenticated
    return _signed_in(pair, 0)


@router.post("/logout", status_code=204)
def logout(command: Logout, store: AnonymousStore, now: Clock) -> None:
    """End the session that the refresh token belongs to, and its access tokens with it; or all of its user's."""
    with store.history.pool.connection() as connection:
        session_id = session_of(connection, command.refresh_token)
    if session_id is not None:
        _end(store, None, session_id, "logout", now, everywhere=command.everywhere)


@dataclass(frozen=True)
class Account:
    """What a name stands for. `id` is the user's, or without one that of the name's claim."""

    id: UUID
    user: User | None
    group: Group

    @property
    def user_id(self) -> UUID:
        return self.user.id if self.user else NOBODY


def account_named(store: Store, site_secret: bytes, username: str) -> Account:
    """The user of that name; for a name without a user the same look-ups are made."""
    user = user_named(store, site_secret, username)
    group = store.get(Group, group_id(user.group if user else FIRST_GROUP))
    return Account(user.id if user else username_claim_id(site_secret, username), user, group)


def knows_password(store: Store, found: Account, password: str) -> bool:
    """Takes the same time for a name without a user."""
    with store.history.pool.connection() as connection:
        stored = password_hash(connection, found.user_id)
    return verify_password(stored, password)


def _proven(store: Store, found: Account, password: str, now: datetime) -> User:
    """The user, who knows the password and may come in; raises `WrongCredentials` after the same work for every
    reason."""
    right = knows_password(store, found, password)
    banned = ban_in_force(store, found.user_id, BanKind.ACCOUNT, now)
    if not right or found.user is None or banned or not _may_come_in(found.user, found.group):
        raise WrongCredentials("the name or the password is wrong")
    return found.user


def _may_come_in(user: User, group: Group) -> bool:
    return user.enabled and Permission.LOGIN in group.permissions


def _start_session(store: Store, platform: Platform, user: User, totp: str | None, attempt: Attempt) -> SignedIn:
    session, now = Session.start(new_id(), user.id), attempt.guess.at
    pairs: list[Pair] = []

    def begin(cursor: Cursor[Any]) -> None:
        if user.two_factor:
            _use_code(cursor, platform, user, totp or "", now)
        if attempt.succeeded(cursor):
            device, address = device_of(attempt.guess.user_agent), attempt.guess.ip or ""
            tell(cursor, platform.settings, user, new_device(user.username, device, address, now))
        command_id = store.metadata.command_id
        pairs.append(platform.tokens.start_session(cursor, user.id, now, session_id=session.id, command_id=command_id))

    receipt: Receipt = store.save(session, beside=begin)
    return _signed_in(pairs[0], receipt.position)


def _use_code(cursor: Cursor[Any], platform: Platform, user: User, code: str, now: datetime) -> None:
    sealer = platform.sealer(second_factor.PURPOSE)
    if not second_factor.use_code(cursor, sealer, user.id, code, now):
        raise WrongTotp("the code is wrong, or was used")
    if second_factor.is_recovery_code(code):
        left = second_factor.recovery_codes_left(cursor, user.id)
        tell(cursor, platform.settings, user, recovery_code_used(user.username, left))


def _signed_in(pair: Pair, position: int) -> SignedIn:
    return SignedIn(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in,
        position=position,
    )


def _end(
    store: Store,
    actor_id: UUID | None,
    session_id: UUID,
    reason: str,
    now: datetime,
    *,
    everywhere: bool = False,
    tell_by: Settings | None = None,
) -> None:
    """Record the end of a session and end its tokens, or those of all sessions; the session's user is the actor unless
    another is named. With `tell_by` the user is told that somebody else had a copy of the token."""
    session = store.find(Session, session_id)
    if session is None or session.ended:  # the token of a session that is over ends no others
        return
    session.end(reason)
    others = ended_sessions(store, session.user_id, reason, now, but=session_id) if everywhere else []

    def sign_out(cursor: Cursor[Any]) -> None:
        if everywhere:
            end_sessions(cursor, session.user_id, now)
        end_session(cursor, session_id, now)
        if tell_by is not None:
            user = store.get(User, session.user_id)
            tell(cursor, tell_by, user, session_stolen(user.username, now))

    _unrepeatable(store).acting_as(actor_id or session.user_id).save(session, *others, beside=sign_out)


def _unrepeatable(store: Store) -> Store:
    """The same command without its Idempotency-Key: tokens are kept nowhere, so a repeat has to make new ones."""
    return replace(store, metadata=replace(store.metadata, command_id=new_id(), request_sha=b""))
