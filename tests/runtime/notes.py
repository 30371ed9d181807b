"""A small aggregate of the tests' own, with a projection and a policy, that uses every kind of field."""

from __future__ import annotations

from uuid import UUID

import psycopg

from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Policy, Projection
from runtime.store import Store


class AlreadyClosed(Conflict):
    """The note takes no more lines."""


class Note(Aggregate):
    TOPIC = "note"

    class Opened(Created):
        TOPIC = "note.opened"
        author: Personal
        lines: int

    class LineAdded(Aggregate.Event):
        TOPIC = "note.line_added"
        number: int

    class Closed(Aggregate.Event):
        TOPIC = "note.closed"

    @classmethod
    def open(cls, note_id: UUID, author: str = "Ada") -> Note:
        """A new note without lines."""
        return cls._create(cls.Opened, id=note_id, author=author, lines=0)

    def __init__(self, author: str, lines: int = 0) -> None:
        self.author = author
        self.lines = lines
        self.closed = False

    def add_line(self, number: int) -> None:
        if self.closed:
            raise AlreadyClosed("this note is closed")
        self._line_added(number)

    def close(self) -> None:
        if not self.closed:
            self._closed()

    @event(LineAdded)
    def _line_added(self, number: int) -> None:
        self.lines += number

    @event(Closed)
    def _closed(self) -> None:
        self.closed = True


KINDS = (Note.Opened, Note.LineAdded, Note.Closed)


def create_tables(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    """The read tables of the projections below."""
    owner.execute(
        "SET ROLE tracker_projector;"
        "CREATE TABLE read.note (note_id uuid PRIMARY KEY, author text NOT NULL, lines int NOT NULL, at timestamptz);"
        "CREATE INDEX note_author_and_lines ON read.note (author, lines);"
        "CREATE TABLE read.note_line (position bigint PRIMARY KEY, note_id uuid NOT NULL, number int NOT NULL);"
        "RESET ROLE"
    )


def make_projection(name: str = "notes") -> Projection:
    """A new projection each time, so that a test may add handlers of its own."""
    notes = Projection(name, "note", "note_line")

    @notes.on(Note.Opened)
    def opened(fact: Fact[Note.Opened], db: Writer) -> None:
        row = (fact.stream_id, fact.event.author, fact.event.lines, fact.at)
        db.execute("INSERT INTO note (note_id, author, lines, at) VALUES (%s, %s, %s, %s)", row)

    @notes.on(Note.LineAdded)
    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        db.update("UPDATE note SET lines = lines + %s WHERE note_id = %s", (fact.event.number, fact.stream_id))
        row = (fact.position, fact.stream_id, fact.event.number)
        db.execute("INSERT INTO note_line (position, note_id, number) VALUES (%s, %s, %s)", row)

    return notes


def make_policy() -> Policy:
    """Closes a note with its tenth line."""
    close_full_notes = Policy("close_full_notes")

    @close_full_notes.on(Note.LineAdded)
    def close(fact: Fact[Note.LineAdded], store: Store) -> None:
        note = store.get(Note, fact.stream_id)
        if note.lines >= 10:
            note.close()
            store.save(note)

    return close_full_notes
