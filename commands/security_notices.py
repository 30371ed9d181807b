"""Telling owners what happened to their accounts, by mail and in the transaction in which it happens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Cursor

from domain.base import ERASED
from domain.login_defence import TELL_OWNER_AFTER, TELL_OWNER_EVERY
from domain.security_notices import Notice, many_failures
from domain.users import User
from runtime.login_defence import often_failed, tell_again
from runtime.mail import post
from runtime.mail_bounds import Occasion
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import Store

#: The kind of notice that is due once a day at most.
FAILURES = "failed_logins"


def tell(cursor: Cursor[Any], settings: Settings, user: User, notice: Notice) -> None:
    if user.email != ERASED:
        occasion = notice_to(user)
        post(cursor, settings, to=user.email, subject=notice.subject, text=notice.text, occasion=occasion)


def notice_to(user: User) -> Occasion:
    """No notice to an address that has answered is lost; any other one may be a stranger's, and gets its share."""
    return Occasion.OWNER if user.email_verified else Occasion.NOTICE


def tell_of_failures(platform: Platform, store: Store, now: datetime) -> int:
    """Tell everybody at whose account somebody guesses, once a day; returns how many were told.

    A worker does this: were it done where a guess fails, a known name would take longer than an unknown one.
    """
    told = 0
    with platform.pool.connection() as connection:
        found = often_failed(connection, now - TELL_OWNER_EVERY, TELL_OWNER_AFTER)
    for user_id, failures in found:
        user = store.find(User, user_id)
        if user is None:  # the claim of a name without an account
            continue
        with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            if tell_again(cursor, user_id, FAILURES, now, TELL_OWNER_EVERY):
                tell(cursor, platform.settings, user, many_failures(user.username, failures))
                told += 1
    return told
