"""Whose id is this? Names beside the ids that other answers show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import Connection
from pydantic import BaseModel

from domain.base import SYSTEM
from runtime.store import NoSuchThing


class Person(BaseModel):
    """A user; `username` is null for who has no account."""

    id: UUID
    username: str | None


def people(db: Connection[Any], ids: Iterable[UUID | None]) -> dict[UUID, Person]:
    """Everybody of `ids`, by id; what nobody asked for was done by `system`."""
    wanted = {one for one in ids if one is not None}
    rows = db.execute("SELECT user_id, username FROM read.account WHERE user_id = ANY (%s)", (list(wanted),)).fetchall()
    names: dict[UUID, str] = {SYSTEM: "system", **dict(rows)}
    return {one: Person(id=one, username=names.get(one)) for one in wanted}


def must_be_user(db: Connection[Any], user_id: UUID) -> None:
    """Raises `NoSuchThing`."""
    if not db.execute("SELECT FROM read.account WHERE user_id = %s", (user_id,)).rowcount:
        raise NoSuchThing("no such user")
