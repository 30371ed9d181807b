"""What happens to accounts that nobody uses; a worker calls this, nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor

from commands.security_notices import tell
from commands.users import end_access, ended_access
from domain.inactivity import Inactivity, Patience, disabling_due, inactivity_id, warning_due
from domain.security_notices import unused_account
from domain.users import User
from runtime.settings import Settings
from runtime.store import Store

REASON = "not used for a long time"


def judge_absence(
    store: Store, settings: Settings, user_id: UUID, last_seen: datetime, patience: Patience, now: datetime
) -> None:
    """Warn the owner of an account that was last used then, or disable it when the warning's time is over."""
    user, warned = store.get(User, user_id), store.find(Inactivity, inactivity_id(user_id))
    if not user.enabled:
        return
    if warning_due(warned, last_seen, patience, now=now):
        _warn(store, settings, user, warned, last_seen, now + patience.warning)
    elif disabling_due(warned, last_seen, now=now):
        _disable(store, user, now)


def _warn(
    store: Store,
    settings: Settings,
    user: User,
    warned: Inactivity | None,
    last_seen: datetime,
    disabled_from: datetime,
) -> None:
    if warned is None:
        warned = Inactivity.first_warning(user.id, last_seen, disabled_from)
    else:
        warned.warn_again(last_seen, disabled_from)
    notice = unused_account(user.username, last_seen, disabled_from)
    store.save(warned, beside=lambda cursor: tell(cursor, settings, user, notice))


def _disable(store: Store, user: User, now: datetime) -> None:
    user.disable(REASON)

    def sign_out(cursor: Cursor[Any]) -> None:
        end_access(cursor, user.id, now)

    store.save(user, *ended_access(store, user.id, "disabled", now), beside=sign_out)
