"""How an account is made: by a newcomer, or on the machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.emails import held_email, mail_confirmation, tell_owner, user_with_email
from commands.invites import Invited, accepted_invite
from commands.login_defence import remember_device
from commands.passwords import new_hash
from commands.usernames import held_name, may_be_taken
from domain.emails import check_email
from domain.groups import Group, UnknownGroup, group_id
from domain.registration import check_registration
from domain.users import FIRST_GROUP, WAITING_GROUP, User
from runtime.credentials import set_password_hash
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Clock, SecretsDep, SettingsDep
from runtime.http.types import Command
from runtime.invite_codes import forget_code
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
    invite: Annotated[str | None, Field(max_length=256)] = None


@router.post("/register", status_code=201)
def register(
    command: Register, store: AnonymousStore, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> Registered:
    """Make an account, where the site is not open with the code of an invite: that came to the address by mail.

    Without one the account waits in group `validating`, where addresses are verified, until its mail was answered, and
    the answer does not tell whether the address has an account: its owner's mail does.
    """
    check_registration(settings.registration.mode, invited=command.invite is not None)
    verify = settings.registration.verify_email and command.invite is None
    invited = None
    if command.invite is not None:
        invited = accepted_invite(store, secrets.site, command.invite, command.email, now)
    owner = user_with_email(store, secrets.site, command.email)

    def ask_for_verification(cursor: Cursor[Any], user_id: UUID) -> None:
        if owner is None:
            mail_confirmation(cursor, settings, user_id, command.username, command.email, now)
        else:
            tell_owner(cursor, settings, owner, command.email)

    return create_user(
        store,
        secrets.site,
        username=command.username,
        email=command.email,
        password=command.password,
        group=WAITING_GROUP if verify else FIRST_GROUP,
        now=now,
        claim_email=not verify,
        invited=invited,
        beside=ask_for_verification if verify else None,
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
    claim_email: bool = True,
    invited: Invited | None = None,
    beside: Callable[[Cursor[Any], UUID], None] | None = None,
) -> Registered:
    """A new account; `beside` gets its id within the same transaction. An address that is not claimed now is claimed
    when it has answered; the one of who is `invited` has.

    Without another actor the newcomer is the one, and may not take a reserved name: those are given by the site's own.
    Raises `BadUsername`, `ReservedUsername`, `UsernameBanned`, `BadEmail`, `WeakPassword`, `UnknownGroup`,
    `UsernameTaken`, `EmailTaken`.
    """
    newcomer = store.metadata.actor_id == NOBODY
    may_be_taken(store, username, by_the_site=not newcomer)
    check_email(email)
    if store.find(Group, group_id(group)) is None:
        raise UnknownGroup("there is no such group")
    user = User.register(invited.invite.invitee_id if invited else new_id(), username, email, group)
    claims = held_name(store, site_secret, username, user.id)
    if claim_email:
        claims += held_email(store, site_secret, email, user.id)
    if invited:
        user.verify_email()
    hashed = new_hash(password, username, email)

    def keep(cursor: Cursor[Any]) -> None:
        set_password_hash(cursor, user.id, hashed, now)
        if newcomer:  # whoever makes an account for somebody else does so from an address of its own
            remember_device(cursor, store, user.id, now)
        if invited:
            forget_code(cursor, invited.invite.id)
        if beside is not None:
            beside(cursor, user.id)

    acting = store.acting_as(user.id) if newcomer else store
    also = invited.changed if invited else ()
    return acting.save(user, *claims, *also, answer=Registered, beside=keep, username=username, group=group)
