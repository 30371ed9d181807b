"""Of three changes of an address one is cancelled, one undone, one settled."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from domain.emails import UNDO_WITHIN, EmailChange
from domain.users import User
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for member in past.users:
        user = past.get(User, member.id)
        former = user.email
        cancelled, undone, settled = (
            EmailChange.ask(uuid4(), user.id, f"{fate}-{former}", former) for fate in ("never", "once", "soon")
        )
        cancelled.take_back(now=NOW)
        for change in (undone, settled):
            change.confirm()
            user.change_email(change.email)
        undone.take_back(now=NOW)
        user.restore_email(former)
        settled.settle(now=datetime.now(UTC) + UNDO_WITHIN)
        past.save(user, cancelled, undone, settled, actor=user.id)
