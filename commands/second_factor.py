"""What is done with the second factor: turning it on and off, and getting new recovery codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import BaseModel, Field

from commands.login_defence import guessing
from commands.passwords import WrongPassword, must_know_password, must_match
from commands.security_notices import tell
from commands.users import ended_sessions
from domain.errors import DomainError, NotAllowed
from domain.passwords import PASSWORD_MAX
from domain.second_factor import FACTOR_CHANGED, TwoFactorOff, TwoFactorOn, WrongCode
from domain.security_notices import factor_changed, recovery_codes_replaced
from domain.users import User
from runtime import second_factor
from runtime.credentials import session_started
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Caller, Clock, PlatformDep, StoreDep
from runtime.http.types import Command
from runtime.keyring import Sealer
from runtime.platform import Platform
from runtime.store import Receipt, Store
from runtime.tokens import end_sessions

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)

#: Shown by authenticators beside the code.
ISSUER = "Tracker"
#: Who signed in this long ago need not show the password again before changing how to sign in (OWASP ASVS V7.5.1).
RECENT = timedelta(minutes=10)
#: What makes the proof of both secrets a failed guess, and at which of them.
WRONG: dict[type[DomainError], str] = {WrongPassword: "password", WrongCode: "second_factor"}

Password = Annotated[str, Field(max_length=PASSWORD_MAX)]
Code = Annotated[str, Field(max_length=32)]


class PasswordRequired(NotAllowed):
    """The sign-in is some time ago, so this needs the password again."""


class EnableTwoFactor(Command):
    password: Password | None = None


class VerifyTwoFactor(Command):
    code: Code


class DisableTwoFactor(Command):
    password: Password
    code: Code


class ReplaceRecoveryCodes(Command):
    password: Password
    code: Code


class TwoFactorSecret(BaseModel):
    secret: str
    otpauth_uri: str


class RecoveryCodes(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"recovery_codes"})

    recovery_codes: list[str] | None


@router.post("/enable-2fa")
def enable_two_factor(
    caller: AccountOwner, platform: PlatformDep, store: StoreDep, now: Clock, command: EnableTwoFactor | None = None
) -> TwoFactorSecret:
    """Hand out a secret for an authenticator; the second factor is off until `/verify-2fa` has seen a code of it."""
    must_be_recent(store, caller, command.password if command else None, now)
    seed = second_factor.new_seed()
    with platform.pool.connection() as connection:
        if not second_factor.enrol(connection, _sealer(platform), caller.user_id, seed):
            raise TwoFactorOn("the second factor is on already")
    uri = second_factor.otpauth_uri(seed, caller.username, ISSUER)
    return TwoFactorSecret(secret=seed, otpauth_uri=uri)


@router.post("/verify-2fa")
def verify_two_factor(
    command: VerifyTwoFactor, caller: AccountOwner, store: StoreDep, platform: PlatformDep, now: Clock
) -> RecoveryCodes:
    """Turn the second factor on with a first code, and end all other sessions. The recovery codes are shown this
    once."""
    user = store.get(User, caller.user_id)
    if user.two_factor:
        raise TwoFactorOn("the second factor is on already")
    codes = second_factor.new_recovery_codes()
    user.enable_two_factor()
    others = ended_sessions(store, user.id, FACTOR_CHANGED, now, but=caller.session_id)

    def turn_on(cursor: Cursor[Any]) -> None:
        if not second_factor.confirm(cursor, _sealer(platform), user.id, command.code, now):
            raise WrongCode("this is not a present code of the secret")
        second_factor.keep_recovery_codes(cursor, user.id, codes)
        end_sessions(cursor, user.id, now, but=caller.session_id)
        tell(cursor, platform.settings, user, factor_changed(user.username, "turned on"))

    with guessing(store, user.id, now, wrong=WRONG, with_code=True):
        return store.save(user, *others, answer=RecoveryCodes, beside=turn_on, recovery_codes=codes)


@router.post("/disable-2fa")
def disable_two_factor(
    command: DisableTwoFactor, caller: AccountOwner, store: StoreDep, platform: PlatformDep, now: Clock
) -> Receipt:
    """Turn the second factor off and end all other sessions; needs the password and a code, of the authenticator or
    for recovery."""
    user = _with_second_factor(store, caller)
    user.disable_two_factor()
    others = ended_sessions(store, user.id, FACTOR_CHANGED, now, but=caller.session_id)

    def turn_off(cursor: Cursor[Any]) -> None:
        must_have_code(cursor, platform, user.id, command.code, now)
        second_factor.forget(cursor, user.id)
        end_sessions(cursor, user.id, now, but=caller.session_id)
        tell(cursor, platform.settings, user, factor_changed(user.username, "turned off"))

    with guessing(store, user.id, now, wrong=WRONG, with_code=True):
        must_match(store, user.id, command.password)
        return store.save(user, *others, beside=turn_off)


@router.post("/recovery-codes")
def replace_recovery_codes(
    command: ReplaceRecoveryCodes, caller: AccountOwner, store: StoreDep, platform: PlatformDep, now: Clock
) -> RecoveryCodes:
    """Get new recovery codes, shown this once; none of the old ones works any more. Needs the password and a code, of
    the authenticator or for recovery."""
    user = _with_second_factor(store, caller)
    codes = second_factor.new_recovery_codes()
    user.replace_recovery_codes()

    def replace(cursor: Cursor[Any]) -> None:
        must_have_code(cursor, platform, user.id, command.code, now)
        second_factor.keep_recovery_codes(cursor, user.id, codes)
        tell(cursor, platform.settings, user, recovery_codes_replaced(user.username))

    with guessing(store, user.id, now, wrong=WRONG, with_code=True):
        must_match(store, user.id, command.password)
        return store.save(user, answer=RecoveryCodes, beside=replace, recovery_codes=codes)


def _with_second_factor(store: Store, caller: Caller) -> User:
    user = store.get(User, caller.user_id)
    if not user.two_factor:
        raise TwoFactorOff("the second factor is off")
    return user


def must_have_code(cursor: Cursor[Any], platform: Platform, user_id: UUID, code: str, now: datetime) -> None:
    """Burns a code of the authenticator or for recovery, within a guess that is under way; raises `WrongCode`."""
    if not second_factor.use_code(cursor, _sealer(platform), user_id, code, now):
        raise WrongCode("this is not a present code of the second factor")


def must_be_recent(store: Store, caller: Caller, password: str | None, now: datetime) -> None:
    """Raises `WrongPassword` or `PasswordRequired`: an access token alone, which may be stolen, is not enough."""
    if password is not None:
        must_know_password(store, caller.user_id, password, now)
        return
    with store.history.pool.connection() as connection:
        started = session_started(connection, caller.session_id)
    if started is None or now - started > RECENT:
        raise PasswordRequired("send your password as well")


def _sealer(platform: Platform) -> Sealer:
    return platform.sealer(second_factor.PURPOSE)
