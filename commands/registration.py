"""How an account is made: by a newcomer, or on the machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor

from commands.emails import mail_confirmation
from domain.claims import Claim, personal_claim_id
from domain.emails import EmailTaken, check_email, email_key
from domain.errors import Conflict
from domain.groups import Group, UnknownGroup, group_id
from domain.passwords import check_password
from domain.registration import must_be_open
from domain.usernames import UsernameTaken, check_username, username_key
from domain.users import FIRST_GROUP, WAITING_GROUP, User
from runtime.credentials import set_password_hash
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Clock, SecretsDep, SettingsDep
from runtime.http.types import Command
from runtime.passwords import hash_password
from runtime.store import NOBODY, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=CommandRoute)


class Registered(Receipt):
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"username"})

    username: str
    group: str


class Register(Command):
    username: str
    email: str
    password: str
    invite: str | None = None


@router.post("/register", status_code=201)
def register(
    command: Register, store: AnonymousStore, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> Registered:
    """Make an account. Where addresses are verified it waits in group `validating` until its mail was answered."""
    must_be_open(settings.registration.mode)

    def ask_for_verification(cursor: Cursor[Any], user_id: UUID) -> None:
        mail_confirmation(cursor, settings, user_id, command.username, command.email, now)

    return create_user(
        store,
        secrets.site,
        username=command.username,
        email=command.email,
        password=command.password,
        group=WAITING_GROUP if settings.registration.verify_email else FIRST_GROUP,
        now=now,
        beside=ask_for_verification if settings.registration.verify_email else None,
    )


def create_user(
    store: Store,
    site_secret: bytes,
    *,
    username: str,
    email: str,
    password: str,
    group: str,
    now: datetime,
    beside: Callable[[Cursor[Any], UUID], None] | None = None,
) -> Registered:
    """A new account; `beside` gets its id within the same transaction.

    Without another actor the newcomer is the one, and may not take a reserved name: those are given by the site's own.
    Raises `BadUsername`, `ReservedUsername`, `BadEmail`, `WeakPassword`, `UnknownGroup`, `UsernameTaken`, `EmailTaken`.
    """
    newcomer = store.metadata.actor_id == NOBODY
    check_username(username, reserved=not newcomer)
    check_email(email)
    check_password(password, username, email)
    if store.find(Group, group_id(group)) is None:
        raise UnknownGroup("there is no such group")
    user = User.register(new_id(), username, email, group)
    claims = _claims(store, site_secret, user)
    hashed = hash_password(password)

    def keep(cursor: Cursor[Any]) -> None:
        set_password_hash(cursor, user.id, hashed, now)
        if beside is not None:
            beside(cursor, user.id)

    if newcomer:
        store = store.acting_as(user.id)
    return store.save(user, *claims, answer=Registered, beside=keep, username=username, group=group)


def _claims(store: Store, site_secret: bytes, user: User) -> list[Claim]:
    """The name and the address, held by this user; raises `UsernameTaken` or `EmailTaken`."""
    name = personal_claim_id(site_secret, "username", username_key(user.username))
    address = personal_claim_id(site_secret, "email", email_key(user.email))
    return [
        _hold(store, name, "username", user.id, UsernameTaken("this name is taken")),
        _hold(store, address, "email", user.id, EmailTaken("this address has an account")),
    ]


def _hold(store: Store, claim_id: UUID, kind: str, holder_id: UUID, taken: Conflict) -> Claim:
    claim = store.find(Claim, claim_id)
    if claim is None:
        return Claim.make(claim_id, kind, holder_id)
    if claim.holder_id is not None:
        raise taken
    claim.retake(holder_id)
    return claim
