"""Staff writes something down about a member."""

from __future__ import annotations

from domain.staff_notes import StaffNotes
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        notes = StaffNotes.open(user.id)
        notes.write("shares a flat with another member")
        past.save(notes)
