"""What have staff written down about this user?

The words are personal and stay in the history, encrypted: they are read from there.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from domain.permissions import Permission
from domain.staff_notes import StaffNotes, staff_notes_id
from domain.users import must_outrank
from queries.people import Person, people
from runtime.facts import FactLog
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, PlatformDep, Requires, read_db
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["staff tools"], route_class=StrictRoute)

Noter = Annotated[Caller, Requires(Permission.USERS_NOTE)]

#: For what reads the event store first: nobody waits for one connection while holding another.
_reading = contextmanager(read_db)


class StaffNote(BaseModel):
    """`version` is the note's place among those about the user."""

    author: Person
    text: str
    at: datetime
    version: int


@router.get("/{user_id}/notes", dependencies=[fresh("users", "groups")])
def list_notes(user_id: Id, staff: Noter, platform: PlatformDep, page: PageDep) -> Page[StaffNote]:
    """The notes on a user of a lower level, the newest first."""
    query = f"notes:{user_id}"
    after = page.after(query)
    stream = FactLog(platform.history).stream(staff_notes_id(user_id))
    written = [fact for fact in stream if isinstance(fact.event, StaffNotes.Written)]
    wanted = [fact for fact in reversed(written) if after is None or fact.version < after[0]][: page.fetch]
    with _reading(platform) as db:
        level = db.execute(
            "SELECT g.level FROM account a JOIN user_group g ON g.slug = a.group_slug WHERE a.user_id = %s", (user_id,)
        ).fetchone()
        authors = people(db, (fact.actor_id for fact in wanted))
    if level is None:
        raise NoSuchThing("no such user")
    must_outrank(staff.level, level[0])
    notes = [
        StaffNote(author=authors[fact.actor_id], text=fact.event.text, at=fact.at, version=fact.version)
        for fact in wanted
    ]
    return page.page(query, notes, lambda note: [note.version])
