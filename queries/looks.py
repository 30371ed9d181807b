"""Did the caller say why it looks? For queries that show what is private page by page: a look opens them a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from domain.errors import NotAllowed
from domain.looks import Look, LookAt
from domain.users import User
from runtime.facts import AnyFact, FactLog
from runtime.http.deps import Clock, Member, PlatformDep
from runtime.http.types import Id

#: Long enough to turn pages, short enough that the reason is still the same.
LOOK_LASTS = timedelta(minutes=15)


class LookNeeded(NotAllowed):
    """This is shown to who has said why: take a look first, and name it here."""


def looked(at: LookAt) -> Any:
    """A dependency: the caller took such a look at the user of the path, and not long ago.

    Raises `NoSuchThing` or `LookNeeded`.
    """

    def check(
        user_id: Id,
        caller: Member,
        platform: PlatformDep,
        now: Clock,
        look: Annotated[Id, Query(description="the id of the caller's look at this user")],
    ) -> None:
        platform.history.aggregate(User, user_id)
        facts = FactLog(platform.history).stream(look)
        if not any(_opens(fact, caller.user_id, user_id, at) and now - fact.at <= LOOK_LASTS for fact in facts):
            raise LookNeeded("say first why you look, and name that look here")

    return Depends(check)


def _opens(fact: AnyFact, caller_id: UUID, user_id: UUID, at: LookAt) -> bool:
    event = fact.event
    return fact.actor_id == caller_id and isinstance(event, Look.Taken) and (event.user_id, event.at) == (user_id, at)
