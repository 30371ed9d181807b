"""What is done to read tables: building them again, looking for differences, going back. Each is on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from domain.permissions import Permission
from domain.projections import Action, Intervention
from runtime.follower_settings import pause as pause_live
from runtime.follower_settings import projection_named, projections_named
from runtime.follower_settings import resume as resume_live
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, PlatformDep, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.platform import Platform
from runtime.rebuild import cancel, drop, past, rebuild_stream, roll_back, runs
from runtime.rebuild.orders import Order, place
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/projections", tags=["projections"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.SITE_MANAGE)]

Names = Annotated[
    list[str] | None, Field(min_length=1, max_length=100, description="projections by name; null for all of them")
]


class RebuildTables(Command):
    projections: Names


class VerifyTables(Command):
    projections: Names


class BuildPast(Command):
    """`schema` is the name of a new schema, or of one that such tables are in already."""

    projections: Names
    schema_: str = Field(alias="schema", pattern="^[a-z][a-z0-9_]{0,39}$")
    position: int = Field(ge=1, description="of the last event that the tables shall know")


class Steer(Command):
    """`run` is the rebuild or verification of the projection, `live` the projection itself."""

    what: Literal["run", "live"] = "run"


class StreamReceipt(Receipt):
    """How many events of the stream were read, and how many rows they make."""

    facts: int
    rows: int


class RollbackReceipt(Receipt):
    """`stands_at` is the position of the tables that are back: from there they are brought up to date."""

    stands_at: int


@router.post("/rebuild", status_code=202)
def rebuild_tables(command: RebuildTables, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Let workers throw read tables away and build them again from the events, one projection after another; the ones
    of before stay as a standby. One that was interrupted is gone on with. Progress is at `/projections/progress`."""
    made = Intervention.make(new_id(), Action.REBUILD, _names(platform, command.projections))
    return _order(store, made, Order("rebuild"))


@router.post("/verify", status_code=202)
def verify_tables(command: VerifyTables, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Let workers build read tables beside the live ones and count the differences."""
    made = Intervention.make(new_id(), Action.VERIFY, _names(platform, command.projections))
    return _order(store, made, Order("verify"))


@router.post("/past", status_code=202)
def build_past(command: BuildPast, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Let workers build read tables as of a position, in a schema of their own for whoever reads with SQL."""
    names = _names(platform, command.projections)
    with platform.pool.connection() as connection:
        past.check_new(connection, command.schema_)
        past.check_reached(connection, command.position)
    made = Intervention.make(new_id(), Action.PAST, names, schema=command.schema_, upto=command.position)
    return _order(store, made, Order("past", command.schema_, command.position))


@router.delete("/past/{schema}")
def drop_past(schema: str, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Remove such a schema."""
    past.drop_schema(platform, schema)
    return store.save(Intervention.make(new_id(), Action.DROP_PAST, [], schema=schema))


@router.post("/{name}/pause")
def pause_projection(name: str, command: Steer, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Let a rebuild or verification, or the projection itself, stand still until it is resumed."""
    projection_named(platform, name)
    if command.what == "live":
        pause_live(platform, name)
    else:
        _wish(platform, name, "pause")
    return _record(store, Action.PAUSE, name)


@router.post("/{name}/resume")
def resume_projection(name: str, command: Steer, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Let it go on. A run whose process or server died is gone on with by a worker."""
    projection_named(platform, name)
    if command.what == "live":
        resume_live(platform, name)
    else:
        _wish(platform, name, "run")
    return _record(store, Action.RESUME, name)


@router.post("/{name}/cancel")
def cancel_run(name: str, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """End a rebuild or verification; the live tables stay as they are."""
    cancel(platform, projection_named(platform, name))
    return _record(store, Action.CANCEL, name)


@router.post("/{name}/rollback")
def roll_tables_back(name: str, staff: Manager, store: StoreDep, platform: PlatformDep) -> RollbackReceipt:
    """Put the tables of before the last rebuild back at once; a second rollback undoes the first."""
    stands_at = roll_back(platform, projection_named(platform, name))
    made = Intervention.make(new_id(), Action.ROLL_BACK, [name])
    return store.save(made, answer=RollbackReceipt, stands_at=stands_at)


@router.delete("/{name}/standby")
def drop_standby(name: str, staff: Manager, store: StoreDep, platform: PlatformDep) -> Receipt:
    """Give back the room that the tables of before take."""
    drop(platform, projection_named(platform, name))
    return _record(store, Action.DROP_STANDBY, name)


@router.post("/{name}/streams/{stream_id}/rebuild")
def rebuild_one_stream(
    name: str, stream_id: Id, staff: Manager, store: StoreDep, platform: PlatformDep
) -> StreamReceipt:
    """Work the rows of one torrent, user, case … out again from its events and put them in place at once; refused where
    rows come from several streams."""
    done = rebuild_stream(platform, projection_named(platform, name), stream_id)
    made = Intervention.make(new_id(), Action.REBUILD_STREAM, [name], stream_id=stream_id)
    return store.save(made, answer=StreamReceipt, facts=done.facts, rows=done.rows)


def _names(platform: Platform, names: Sequence[str] | None) -> list[str]:
    return [projection.name for projection in projections_named(platform, names)]


def _order(store: Store, made: Intervention, order: Order) -> Receipt:
    def write_down(cursor: Cursor[Any]) -> None:
        place(cursor, made.projections, order)

    return store.save(made, beside=write_down)


def _wish(platform: Platform, name: str, wanted: Literal["run", "pause"]) -> None:
    with platform.pool.connection() as connection:
        runs.wish(connection, name, wanted)


def _record(store: Store, action: Action, name: str) -> Receipt:
    return store.save(Intervention.make(new_id(), action, [name]))
