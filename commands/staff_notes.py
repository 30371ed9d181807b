"""What staff write down about users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from commands.users import outranked
from domain.permissions import Permission
from domain.staff_notes import StaffNotes, staff_notes_id
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt

router = APIRouter(prefix="/api/v1/users", tags=["staff tools"], route_class=CommandRoute)

Noter = Annotated[Caller, Requires(Permission.USERS_NOTE)]


class WriteNote(Command):
    text: str


@router.post("/{user_id}/notes", status_code=201)
def write_note(user_id: Id, command: WriteNote, staff: Noter, store: StoreDep) -> Receipt:
    """Write something down about a user of a lower level. It cannot be changed."""
    outranked(staff, user_id, store)
    notes = store.edit_or_open(StaffNotes, staff_notes_id(user_id), lambda: StaffNotes.open(user_id))
    notes.write(command.text)
    return store.save(notes)
