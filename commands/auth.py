"""Coming in and going out: sign-in, tokens, the second factor."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import BaseModel, Field

from commands.bans import ban_in_force
from commands.passwords import must_know_password
from domain.bans import BanKind
from domain.base import SYSTEM
from domain.claims import Claim, personal_claim_id
from domain.errors import Conflict, Malformed, NotAllowed
from domain.groups import Group, group_id
from domain.passwords import PASSWORD_MAX
from domain.permissions import Permission
from domain.sessions import Session
from domain.usernames import username_key
from domain.users import FIRST_GROUP, User
from runtime import second_factor
from runtime.credentials import password_hash, session_started
from runtime.http.body import CommandRoute
from runtime.http.deps import (
    AccountOwner,
    AnonymousStore,
    Caller,
    Clock,
    PlatformDep,
    StoreDep,
)
from runtime.http.types import Command
from runtime.keyring import Sealer
from runtime.passwords import verify_password
from runtime.platform import Platform
from runtime.store import NOBODY, Receipt, Store, new_id
from runtime.tokens import Pair, TokenReused, Unauthenticated, end_session, session_of

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)

#: Shown by authenticators beside the code.
ISSUER = "Tracker"
#: Who signed in this long ago need not show the password again before changing how to sign in (OWASP ASVS V7.5.1).
RECENT = timedelta(minutes=10)

Password = Annotated[str, Field(max_length=PASSWORD_MAX)]
Token = Annotated[str, Field(max_length=256)]


class WrongCredentials(Unauthenticated):
    """No such name, another password, or an account that may not come in: never said which."""


class TotpRequired(Unauthenticated):
    """The password is right; a code of the second factor is due."""


class WrongTotp(Unauthenticated):
    """The code is wrong, or was used."""


class WrongCode(Malformed):
    """The code does not fit the secret that was handed out."""


class PasswordRequired(NotAllowed):
    """The sign-in is some time ago, so this needs the password again."""


class TwoFactorOn(Conflict):
    """The second factor is on already."""


class TwoFactorOff(Conflict):
    """There is no second factor to turn off."""


class Login(Command):
    username: Annotated[str, Field(max_length=256)]
    password: Password
    totp: Annotated[str | None, Field(max_length=32)] = None


class Refresh(Command):
    refresh_token: Token


class Logout(Command):
    refresh_token: Token


class EnableTwoFactor(Command):
    password: Password | None = None


class VerifyTwoFactor(Command):
    code: Annotated[str, Field(max_length=32)]


class DisableTwoFactor(Command):
    password: Password
    code: Annotated[str, Field(max_length=32)]


class SignedIn(BaseModel):
    """`expires_in` is the access token's life in seconds; `position` is 0 when nothing was recorded."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    position: int


class TwoFactorSecret(BaseModel):
    secret: str
    otpauth_uri: str


class RecoveryCodes(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"recovery_codes"})

    recovery_codes: list[str] | None


@router.post("/login")
def login(command: Login, store: AnonymousStore, platform: PlatformDep, now: Clock) -> SignedIn:
    """Sign in. Whatever is wrong before the second factor, the answer and its time are the same."""
    user, group = _account(store, platform.secrets.site, command.username)
    with store.history.pool.connection() as connection:
        stored = password_hash(connection, user.id if user else NOBODY)
    right = verify_password(stored, command.password)
    banned = ban_in_force(store, user.id if user else NOBODY, BanKind.ACCOUNT, now)
    if not right or user is None or banned or not _may_come_in(user, group):
        raise WrongCredentials("the name or the password is wrong")
    if user.two_factor and command.totp is None:
        raise TotpRequired("send the code of your second factor as well")
    return _start_session(_unrepeatable(store).acting_as(user.id), platform, user, command.totp, now)


@router.post("/refresh")
def refresh(command: Refresh, store: AnonymousStore, platform: PlatformDep, now: Clock) -> SignedIn:
    """Exchange a refresh token for new tokens. One that comes back late has been stolen: its session ends."""
    try:
        with store.history.pool.connection() as connection:
            pair = platform.tokens.rotate(connection, command.refresh_token, now)
    except TokenReused as reused:
        _end(store, SYSTEM, reused.session_id, "reuse", now)
        raise
    user = store.get(User, pair.user_id)
    banned = ban_in_force(store, user.id, BanKind.ACCOUNT, now)
    if banned or not _may_come_in(user, store.get(Group, group_id(user.group))):
        _end(store, SYSTEM, pair.session_id, "disabled", now)
        raise Unauthenticated
    return _signed_in(pair, 0)


@router.post("/logout", status_code=204)
def logout(command: Logout, store: AnonymousStore, now: Clock) -> None:
    """End the session that the refresh token belongs to, and its access tokens with it."""
    with store.history.pool.connection() as connection:
        session_id = session_of(connection, command.refresh_token)
    if session_id is not None:
        _end(store, None, session_id, "logout", now)


@router.post("/enable-2fa")
def enable_two_factor(
    caller: AccountOwner, platform: PlatformDep, store: StoreDep, now: Clock, command: EnableTwoFactor | None = None
) -> TwoFactorSecret:
    """Hand out a secret for an authenticator; the second factor is off until `/verify-2fa` has seen a code of it."""
    _must_be_recent(store, caller, command.password if command else None, now)
    seed = second_factor.new_seed()
    with platform.pool.connection() as connection:
        if not second_factor.enrol(connection, totp_sealer(platform), caller.user_id, seed):
            raise TwoFactorOn("the second factor is on already")
    uri = second_factor.otpauth_uri(seed, caller.username, ISSUER)
    return TwoFactorSecret(secret=seed, otpauth_uri=uri)


@router.post("/verify-2fa")
def verify_two_factor(
    command: VerifyTwoFactor, caller: AccountOwner, store: StoreDep, platform: PlatformDep, now: Clock
) -> RecoveryCodes:
    """Turn the second factor on with a first code. The recovery codes are shown this once."""
    user = store.get(User, caller.user_id)
    if user.two_factor:
        raise TwoFactorOn("the second factor is on already")
    codes = second_factor.new_recovery_codes()
    user.enable_two_factor()

    def turn_on(cursor: Cursor[Any]) -> None:
        if not second_factor.confirm(cursor, totp_sealer(platform), user.id, command.code, now):
            raise WrongCode("this is not a present code of the secret")
        second_factor.keep_recovery_codes(cursor, user.id, codes)

    return store.save(user, answer=RecoveryCodes, beside=turn_on, recovery_codes=codes)


@router.post("/disable-2fa")
def disable_two_factor(
    command: DisableTwoFactor, caller: AccountOwner, store: StoreDep, platform: PlatformDep, now: Clock
) -> Receipt:
    """Turn the second factor off; needs the password and a code, of the authenticator or for recovery."""
    user = store.get(User, caller.user_id)
    if not user.two_factor:
        raise TwoFactorOff("the second factor is off")
    must_know_password(store, user.id, command.password)
    user.disable_two_factor()

    def turn_off(cursor: Cursor[Any]) -> None:
        if not second_factor.use_code(cursor, totp_sealer(platform), user.id, command.code, now):
            raise WrongCode("this is not a present code of the second factor")
        second_factor.forget(cursor, user.id)

    return store.save(user, beside=turn_off)


def _account(store: Store, site_secret: bytes, username: str) -> tuple[User | None, Group]:
    """The user of that name and its group; for a name without a user the same look-ups are made."""
    claim = store.find(Claim, personal_claim_id(site_secret, "username", username_key(username)))
    user = store.find(User, (claim and claim.holder_id) or NOBODY)
    return user, store.get(Group, group_id(user.group if user else FIRST_GROUP))


def _may_come_in(user: User, group: Group) -> bool:
    return user.enabled and Permission.LOGIN in group.permissions


def _start_session(store: Store, platform: Platform, user: User, totp: str | None, now: datetime) -> SignedIn:
    session = Session.start(new_id(), user.id)
    pairs: list[Pair] = []

    def begin(cursor: Cursor[Any]) -> None:
        if user.two_factor and not second_factor.use_code(cursor, totp_sealer(platform), user.id, totp or "", now):
            raise WrongTotp("the code is wrong, or was used")
        pairs.append(platform.tokens.start_session(cursor, user.id, now, session_id=session.id))

    receipt: Receipt = store.save(session, beside=begin)
    return _signed_in(pairs[0], receipt.position)


def _signed_in(pair: Pair, position: int) -> SignedIn:
    return SignedIn(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in,
        position=position,
    )


def _end(store: Store, actor_id: UUID | None, session_id: UUID, reason: str, now: datetime) -> None:
    """Record the end of a session and end its tokens; the session's user is the actor unless another is named."""
    session = store.find(Session, session_id)
    if session is None:
        return
    session.end(reason)

    def sign_out(cursor: Cursor[Any]) -> None:
        end_session(cursor, session_id, now)

    _unrepeatable(store).acting_as(actor_id or session.user_id).save(session, beside=sign_out)


def _unrepeatable(store: Store) -> Store:
    """The same command without its Idempotency-Key: tokens are kept nowhere, so a repeat has to make new ones."""
    return replace(store, metadata=replace(store.metadata, command_id=new_id(), request_sha=b""))


def _must_be_recent(store: Store, caller: Caller, password: str | None, now: datetime) -> None:
    """Raises `WrongPassword` or `PasswordRequired`: an access token alone, which may be stolen, is not enough."""
    if password is not None:
        must_know_password(store, caller.user_id, password)
        return
    with store.history.pool.connection() as connection:
        started = session_started(connection, caller.session_id)
    if started is None or now - started > RECENT:
        raise PasswordRequired("send your password as well")


def totp_sealer(platform: Platform) -> Sealer:
    return platform.sealer("totp seeds")
