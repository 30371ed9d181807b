"""A section of handlers that go wrong, with a schema of its own, beside the site's."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter
from pydantic import BaseModel

from domain.errors import Conflict
from queries.graphql import graphql_over
from runtime.freshness import fresh
from runtime.graphql.questions import Asking
from runtime.graphql.schema import Join, Lookup, build
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb

rest = APIRouter(prefix="/trial", tags=["health"], route_class=StrictRoute)


class OutOfOrder(Conflict):
    """It does not work."""


class Thing(BaseModel):
    name: str


class Things(BaseModel):
    items: list[Thing]


@rest.get("/good")
def get_good(caller: Member) -> Thing:
    """What is there."""
    return Thing(name="good")


@rest.get("/refused")
def get_refused(caller: Member) -> Thing:
    """What a rule refuses."""
    raise OutOfOrder("it is out of order")


@rest.get("/broken")
def get_broken(caller: Member) -> Thing:
    """What is a mistake of ours."""
    raise ValueError("SELECT secret FROM credentials")


@rest.get("/slow")
def get_slow(caller: Member, db: ReadDb) -> Thing:
    """What takes ten seconds."""
    db.execute("SELECT pg_sleep(10)")
    return Thing(name="slow")


@rest.get("/writing")
def get_writing(caller: Member, db: ReadDb) -> Thing:
    """What would change something."""
    db.execute("DELETE FROM credentials.session")
    return Thing(name="written")


@rest.get("/moment", dependencies=[fresh("users")])
def get_moment(caller: Member, db: ReadDb) -> Thing:
    """What the transaction sees."""
    row = db.execute("SELECT pg_current_snapshot()::text").fetchone()
    return Thing(name=str(row and row[0]))


@rest.get("/things")
def list_things(caller: Member) -> Things:
    """Three, of which only one leads on."""
    return Things(items=[Thing(name=name) for name in ("a", "b", "c")])


def _refuse(asking: Asking, names: Collection[str]) -> dict[str, Thing]:
    raise OutOfOrder("it is out of order")


LOOKUP = Lookup(Thing, lambda _, names: {name: Thing(name=name * 2) for name in names if name == "b"}, get_good)
BROKEN = Lookup(Thing, _refuse, get_good)
JOINS = (
    Join(Thing, "double", lambda one: one.name if len(one.name) == 1 else None, LOOKUP, "Twice of it."),
    Join(Thing, "refused", lambda one: one.name, BROKEN, "What is refused."),
)
SCHEMA = build([rest], JOINS)
router = graphql_over(SCHEMA)
