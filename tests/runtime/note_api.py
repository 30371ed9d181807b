"""A small API over notes, wired as the real one is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

import psycopg
from fastapi import APIRouter, FastAPI, File, Form, UploadFile

from runtime.freshness import fresh
from runtime.http.body import CommandRoute, StrictRoute
from runtime.http.deps import AnonymousStore, Caller, Clock, Member, ReadDb, Requires, StoreDep
from runtime.http.middleware import RequestMiddleware
from runtime.http.pages import Page, PageDep
from runtime.http.problems import install_problems
from runtime.http.types import Command, Id, Points, ShownPoints, Timestamp, WholeNumber
from runtime.platform import Platform
from runtime.store import Receipt, new_id
from tests.given import NOON
from tests.runtime.notes import Note

ADA = UUID("0199a4f0-0000-7000-8000-0000000000ad")

commands = APIRouter(prefix="/notes", route_class=CommandRoute)
queries = APIRouter(route_class=StrictRoute)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class OpenNote(Command):
    author: str
    lines: int = 0
    colour: Colour = Colour.RED
    tags: tuple[str, ...] = ()
    until: Timestamp | None = None
    points: Points | None = None
    of: Id | None = None


class Opened(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"secret"})
    points: ShownPoints | None = None
    colour: str
    secret: str | None


class AddLine(Command):
    number: int


class CloseNote(Command):
    reason: str = ""


class Shown(Command):
    id: UUID
    author: str
    lines: int


@commands.post("", status_code=201)
def open_note(command: OpenNote, caller: Member, store: StoreDep) -> Opened:
    note = Note.open(new_id(), command.author)
    return store.save(note, answer=Opened, points=command.points, colour=command.colour, secret=str(uuid4()))


@commands.post("/{note_id}/lines")
def add_line(note_id: Id, command: AddLine, store: StoreDep) -> Receipt:
    note = store.edit(Note, note_id)
    note.add_line(command.number)
    return store.save(note)


@commands.post("/{note_id}/close", status_code=204)
def close(
    note_id: Id, store: StoreDep, staff: Annotated[Caller, Requires("notes.close")], command: CloseNote | None = None
) -> None:
    note = store.get(Note, note_id)
    note.close()
    store.save(note)


@commands.post("/anonymous", status_code=201)
def open_anonymously(command: OpenNote, store: AnonymousStore) -> Receipt:
    return store.save(Note.open(new_id(), command.author))


@commands.post("/registered", status_code=201)
def open_as_oneself(command: OpenNote, store: AnonymousStore) -> Receipt:
    note = Note.open(new_id(), command.author)
    return store.acting_as(note.id).save(note)


@commands.post("/upload", status_code=201)
def upload(
    file: Annotated[UploadFile, File()], author: Annotated[str, Form()], caller: Member, store: StoreDep
) -> Receipt:
    note = Note.open(new_id(), f"{author}: {len(file.file.read())} bytes")
    return store.save(note)


@queries.get("/me")
def me(caller: Member) -> dict[str, Any]:
    return {"username": caller.username, "group": caller.group, "enabled": caller.enabled}


@queries.get("/notes", dependencies=[fresh("notes")])
def note_list(db: ReadDb, page: PageDep, author: str = "") -> Page[Shown]:
    after = page.after("notes")
    rows = db.execute(
        "SELECT note_id, author, lines FROM note WHERE %s OR note_id > %s ORDER BY note_id LIMIT %s",
        (after is None, after[0] if after else None, page.fetch),
    ).fetchall()
    return page.page("notes", [Shown(id=i, author=a, lines=n) for i, a, n in rows], lambda note: [note.id])


@queries.get("/others")
def other_list(page: PageDep) -> Page[int]:
    page.after("others")
    return page.page("others", list(range(page.fetch)), lambda number: [number])


@queries.get("/numbers/{number}")
def whole(number: WholeNumber) -> int:
    return number


@queries.get("/change")
def change(db: ReadDb) -> None:
    db.execute("DELETE FROM note")


@queries.get("/crash")
def crash() -> None:
    raise ZeroDivisionError("secret detail")


@queries.get("/at")
def at(when: Timestamp, now: Clock) -> bool:
    return when < now


def note_app(platform: Platform, **middleware: Any) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    app.state.platform = platform
    app.include_router(commands, prefix="/api/v1")
    app.include_router(queries, prefix="/api/v1")
    install_problems(app)
    app.add_middleware(RequestMiddleware, **middleware)
    return app


def create_account(
    owner: psycopg.Connection[Any],
    user_id: UUID = ADA,
    state: str = "enabled",
    permissions: tuple[str, ...] = ("notes.close",),
    at: datetime = NOON,
) -> None:
    """An account and its group, as the projection of users writes them."""
    group = f"group-{user_id.hex[-4:]}"
    owner.execute(
        "INSERT INTO read.user_group (slug, group_id, name, level, permissions, version, changed_pos)"
        " VALUES (%s, %s, 'Group', 5, %s, 1, 1)",
        (group, uuid4(), ["site.login", *permissions]),
    )
    owner.execute(
        "INSERT INTO read.account (user_id, username, email, group_slug, state, email_verified, two_factor, passkey_no,"
        " registered_at, version, changed_pos) VALUES (%s, %s, 'a@example.org', %s, %s, true, false, 1, %s, 1, 1)",
        (user_id, f"user-{user_id.hex[-4:]}", group, state, at),
    )
