"""Keeps what staff wrote down with an invite as a note on whoever came by it."""

from __future__ import annotations

from domain.base import ERASED
from domain.invites import Invite
from domain.staff_notes import StaffNotes, staff_notes_id
from runtime.facts import Fact
from runtime.projection import Policy
from runtime.store import Store

note_invited = Policy("note_invited")


@note_invited.on(Invite.Accepted)
def accepted(fact: Fact[Invite.Accepted], store: Store) -> None:
    """In the name of who wrote it: notes are read with their author."""
    invite, user_id = store.get(Invite, fact.stream_id), fact.event.invitee_id
    if invite.inviter_id is None or not invite.note.strip() or invite.note == ERASED:
        return
    notes = store.find(StaffNotes, staff_notes_id(user_id)) or StaffNotes.open(user_id)
    notes.write(invite.note)
    store.acting_as(invite.inviter_id).save(notes)
