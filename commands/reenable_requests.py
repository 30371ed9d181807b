"""Asking to be let in again, and answering it."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from commands.auth import WRONG, WrongCredentials, account_named, knows_password
from commands.login_defence import guessing
from commands.security_notices import tell
from domain.groups import Group, group_id
from domain.passwords import PASSWORD_MAX
from domain.permissions import Permission
from domain.reenable_requests import AccountNotDisabled, NoOpenRequest, ReenableRequest, reenable_request_id
from domain.security_notices import reenable_answered
from domain.torrents import check_reason
from domain.users import User, must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import AnonymousStore, Caller, Clock, PlatformDep, Requires, SettingsDep, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1", route_class=CommandRoute)

#: Where the answers are shown in the documentation; asking is part of signing in.
TAGS: list[str | Enum] = ["reenable requests"]

Disabler = Annotated[Caller, Requires(Permission.USERS_DISABLE)]


class FileReenableRequest(Command):
    username: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=PASSWORD_MAX)]
    text: str = Field(description="why, for the staff")


class RejectReenableRequest(Command):
    reason: str


class ReenableRequestFiled(BaseModel):
    """The staff answer by mail."""

    position: int


@router.post("/auth/reenable-requests", status_code=201, tags=["auth"])
def file_reenable_request(
    command: FileReenableRequest, store: AnonymousStore, platform: PlatformDep, now: Clock
) -> ReenableRequestFiled:
    """Ask the staff to open one's disabled account again. Whatever is wrong with name or password is answered as at
    sign-in."""
    found = account_named(store, platform.secrets.site, command.username)
    with guessing(store, found.id, now, wrong=WRONG):
        if not knows_password(store, found, command.password) or found.user is None:
            raise WrongCredentials("the name or the password is wrong")
        if found.user.enabled:
            raise AccountNotDisabled("this account is not disabled")
        request = _filed(store, found.user.id, command.text, now)
        receipt = store.acting_as(found.user.id).save(request)
    return ReenableRequestFiled(position=receipt.position)


@router.post("/users/{user_id}/reenable-request/approve", tags=TAGS)
def approve_reenable_request(user_id: Id, staff: Disabler, store: StoreDep, settings: SettingsDep) -> Receipt:
    """Open the account again. Its sessions and API keys stay ended."""
    request, user = _asked(store, user_id, staff)
    request.approve()
    user.enable("re-enable request approved")
    notice = reenable_answered(user.username, None)
    return store.save(request, user, beside=lambda cursor: tell(cursor, settings, user, notice))


@router.post("/users/{user_id}/reenable-request/reject", tags=TAGS)
def reject_reenable_request(
    user_id: Id, command: RejectReenableRequest, staff: Disabler, store: StoreDep, settings: SettingsDep, now: Clock
) -> Receipt:
    """Leave the account closed; the user is told why, and may ask again after a week."""
    check_reason(command.reason)
    request, user = _asked(store, user_id, staff)
    request.reject(command.reason, now=now)
    notice = reenable_answered(user.username, command.reason)
    return store.save(request, beside=lambda cursor: tell(cursor, settings, user, notice))


def _filed(store: Store, user_id: UUID, text: str, now: datetime) -> ReenableRequest:
    request = store.find(ReenableRequest, reenable_request_id(user_id))
    if request is None:
        return ReenableRequest.first(user_id, text)
    request.file_again(text, now=now)
    return request


def _asked(store: Store, user_id: UUID, staff: Caller) -> tuple[ReenableRequest, User]:
    """Raises `AboveOwnLevel` or `NoOpenRequest`."""
    user = store.get(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    request = store.find(ReenableRequest, reenable_request_id(user_id))
    if request is None:
        raise NoOpenRequest("this user waits for no answer")
    return request, user
