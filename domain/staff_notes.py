"""What staff write down about a user, for staff: never changed, never deleted but with the person itself."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event, natural_id
from domain.errors import Conflict, Malformed

TEXT_MAX = 5_000
NOTES_MAX = 1_000


class BadNote(Malformed):
    """A note has 1 to 5,000 characters."""


class TooManyNotes(Conflict):
    """There are a thousand notes on this user, which nobody reads any more."""


class StaffNotes(Aggregate):
    """Everything that was written down about one user."""

    TOPIC = "staff_notes"

    class Opened(Created):
        TOPIC = "staff_notes.opened"
        user_id: UUID

    class Written(Aggregate.Event):
        """By whoever did it, about the user."""

        TOPIC = "staff_notes.written"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        text: Personal

    @classmethod
    def open(cls, user_id: UUID) -> StaffNotes:
        return cls._create(cls.Opened, id=staff_notes_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.notes = 0

    def write(self, text: str) -> None:
        """Raises `BadNote` or `TooManyNotes`."""
        if not text.strip() or len(text) > TEXT_MAX:
            raise BadNote(f"a note has 1 to {TEXT_MAX} characters")
        if self.notes >= NOTES_MAX:
            raise TooManyNotes(f"there are {NOTES_MAX} notes on this user")
        self._written(self.user_id, text)

    @event(Written)
    def _written(self, user_id: UUID, text: str) -> None:
        self.notes += 1


def staff_notes_id(user_id: UUID) -> UUID:
    return natural_id("staff_notes", user_id.hex)
