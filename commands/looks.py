"""Looks at what is private. Each is recorded with its reason, in one command with the answer: nothing is seen without
a trace, and a repeated command is not shown it again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from commands.emails import user_with_email
from commands.users import outranked
from domain.groups import Group, group_id
from domain.looks import Look, LookAt, network
from domain.permissions import Permission
from domain.users import User
from runtime.addresses import AddressUse, addresses_of, sharing_with, users_at
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, SecretsDep, StoreDep
from runtime.http.types import Command, Id
from runtime.login_defence import failures_of
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/users", tags=["staff tools"], route_class=CommandRoute)

Looker = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]

#: Rows of one answer: the latest are shown.
ROWS_MAX = 200


class TakeLook(Command):
    reason: str


class FindByEmail(Command):
    email: Annotated[str, Field(max_length=254)]
    reason: str


class FindByAddress(Command):
    """An address, or a network as 192.0.2.0/24."""

    address: Annotated[str, Field(max_length=50)]
    reason: str


class AddressSeen(BaseModel):
    """An address, and how many commands came from it since when; older ones are forgotten."""

    ip: str
    first_at: datetime
    last_at: datetime
    commands: int


class UserSeen(AddressSeen):
    """The same of one of several users."""

    user_id: UUID
    username: str


class FailedLoginSeen(BaseModel):
    """One try that failed, at the password or at the second factor."""

    at: datetime
    failure: Literal["password", "second_factor"]
    ip: str | None
    user_agent: str | None


class UserFound(BaseModel):
    id: UUID
    username: str


class EmailSeen(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"email"})

    email: str | None


class AddressesSeen(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"addresses"})

    addresses: list[AddressSeen] | None


class FailedLoginsSeen(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"failed_logins"})

    failed_logins: list[FailedLoginSeen] | None


class UsersSeen(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"users"})

    users: list[UserSeen] | None


class HolderFound(Receipt):
    """Whose address it is; null when it is nobody's whom the caller may look at."""

    WITHHELD: ClassVar[frozenset[str]] = frozenset({"user"})

    user: UserFound | None


@router.post("/{user_id}/email/looks", status_code=201)
def look_at_email(user_id: Id, command: TakeLook, staff: Looker, store: StoreDep) -> EmailSeen:
    """The e-mail address of a user of a lower level."""
    user = outranked(staff, user_id, store)
    look = Look.take(new_id(), user_id, LookAt.EMAIL, command.reason)
    return store.save(look, answer=EmailSeen, email=user.email)


@router.post("/{user_id}/addresses/looks", status_code=201)
def look_at_addresses(user_id: Id, command: TakeLook, staff: Looker, store: StoreDep) -> AddressesSeen:
    """From where a user of a lower level called, the latest first."""
    outranked(staff, user_id, store)
    look = Look.take(new_id(), user_id, LookAt.ADDRESSES, command.reason)
    with store.history.pool.connection() as connection:
        found = addresses_of(connection, user_id, ROWS_MAX)
    return store.save(look, answer=AddressesSeen, addresses=[AddressSeen(**_use(one)) for one in found])


@router.post("/{user_id}/shared-addresses/looks", status_code=201)
def look_at_shared_addresses(user_id: Id, command: TakeLook, staff: Looker, store: StoreDep) -> UsersSeen:
    """Who else called from the addresses of a user of a lower level. It is a look at each of them."""
    outranked(staff, user_id, store)
    own = Look.take(new_id(), user_id, LookAt.SHARED_ADDRESSES, command.reason)
    with store.history.pool.connection() as connection:
        found = sharing_with(connection, user_id, ROWS_MAX)
    users = _seen(staff, found, store)
    looks = _looks((one.user_id for one in users), LookAt.SHARED_ADDRESSES, command.reason)
    return store.save(own, *looks, answer=UsersSeen, users=users)


@router.post("/{user_id}/failed-logins/looks", status_code=201)
def look_at_failed_logins(user_id: Id, command: TakeLook, staff: Looker, store: StoreDep) -> FailedLoginsSeen:
    """From where others, or the owner, failed to sign in to an account of a lower level, the latest first."""
    outranked(staff, user_id, store)
    look = Look.take(new_id(), user_id, LookAt.FAILED_LOGINS, command.reason)
    with store.history.pool.connection() as connection:
        found = failures_of(connection, user_id, ROWS_MAX)
    tries = [FailedLoginSeen(**one._asdict()) for one in found]
    return store.save(look, answer=FailedLoginsSeen, failed_logins=tries)


@router.post("/searches/by-address", status_code=201)
def find_by_address(command: FindByAddress, staff: Looker, store: StoreDep) -> UsersSeen:
    """Which users of lower levels called from this address or network, the latest first."""
    wanted = network(command.address)
    with store.history.pool.connection() as connection:
        users = _seen(staff, users_at(connection, wanted, ROWS_MAX), store)
    looks = _looks((one.user_id for one in users), LookAt.BY_ADDRESS, command.reason)
    return store.save(*looks or [_in_vain(LookAt.BY_ADDRESS, command.reason)], answer=UsersSeen, users=users)


@router.post("/searches/by-email", status_code=201)
def find_by_email(command: FindByEmail, staff: Looker, store: StoreDep, secrets: SecretsDep) -> HolderFound:
    """Which user of a lower level has exactly this e-mail address."""
    user = user_with_email(store, secrets.site, command.email)
    if user is None or _level(user, store) >= staff.level:
        return store.save(_in_vain(LookAt.BY_EMAIL, command.reason), answer=HolderFound, user=None)
    look = Look.take(new_id(), user.id, LookAt.BY_EMAIL, command.reason)
    return store.save(look, answer=HolderFound, user=UserFound(id=user.id, username=user.username))


def _seen(staff: Caller, found: Iterable[AddressUse], store: Store) -> list[UserSeen]:
    """What was found of users of lower levels."""
    users = {user_id: store.find(User, user_id) for user_id in {one.user_id for one in found}}
    below = {user_id: user for user_id, user in users.items() if user and _level(user, store) < staff.level}
    return [
        UserSeen(user_id=one.user_id, username=below[one.user_id].username, **_use(one))
        for one in found
        if one.user_id in below
    ]


def _use(use: AddressUse) -> dict[str, object]:
    return {name: value for name, value in use._asdict().items() if name != "user_id"}


def _looks(user_ids: Iterable[UUID], at: LookAt, reason: str) -> list[Look]:
    return [Look.take(new_id(), user_id, at, reason) for user_id in dict.fromkeys(user_ids)]


def _in_vain(at: LookAt, reason: str) -> Look:
    return Look.take(new_id(), None, at, reason)


def _level(user: User, store: Store) -> int:
    return store.get(Group, group_id(user.group)).level
