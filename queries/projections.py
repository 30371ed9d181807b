"""Where do the read tables stand, and how far is what rebuilds or verifies them?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from domain.permissions import Permission
from runtime import health
from runtime.follower_settings import projection_named
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, PlatformDep, ReadDb, Requires
from runtime.platform import Platform
from runtime.rebuild import past, runs
from runtime.rebuild.sample import drifts

router = APIRouter(prefix="/api/v1/projections", tags=["projections"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.SITE_MANAGE)]

#: How often a stream says how far a run is; a listener that wants more than so many comes again.
TELL_S = 0.5
TELL_MAX = 1200
UNDER_WAY = ("queued", "running", "paused")


class RunShown(BaseModel):
    """The last rebuild or verification. `rate` is facts a second, `eta_s` how many seconds are left if it is known,
    `differences` rows that a verification found to differ; `interrupted` says that its process is gone. Workers go on
    with what is `ordered`; `resumed` is how often that has happened."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    kind: Literal["rebuild", "verify", "past"]
    state: Literal["queued", "running", "paused", "done", "failed", "cancelled", "interrupted"]
    position: int
    target: int
    facts: int
    rate: float
    throttled: bool
    differences: int | None
    error: str | None
    started_at: datetime
    ended_at: datetime | None
    eta_s: float | None
    ordered: bool
    resumed: int


class RowShown(BaseModel):
    """One row of a table that differs from what its events make: in these columns, or `only` one of the two has it."""

    table: str
    key: dict[str, Any]
    columns: list[str] | None
    only: Literal["live", "rebuilt"] | None


class DifferencesShown(BaseModel):
    """What the last verification found: how many rows differ, and some of them without their values."""

    differences: int | None
    rows: list[RowShown]


class PastShown(BaseModel):
    """A schema with tables that nobody serves, and what they show."""

    schema_: str = Field(alias="schema")
    shows: str


class PastsShown(BaseModel):
    items: list[PastShown]


class DriftShown(BaseModel):
    """What the last nightly check found: `rows` were worked out again, those of the streams of `part` or all of them.
    `differences` is null when they could not be, and `error` says why."""

    model_config = ConfigDict(from_attributes=True)

    part: int | None
    rows: int
    differences: int | None
    error: str | None
    checked_at: datetime


class ProjectionShown(BaseModel):
    """A projection or policy. `lag_events` and `lag_s` are how far it is behind; `failed_position` and `error` what it
    halted at or waits for; `dead_letters` facts that it has passed over."""

    name: str
    state: Literal["running", "halted", "waiting", "paused"]
    position: int
    lag_events: int
    lag_s: float
    dead_letters: int
    failed_position: int | None
    error: str | None
    last_run: RunShown | None
    last_check: DriftShown | None


class ProjectionsShown(BaseModel):
    items: list[ProjectionShown]


@router.get("")
def list_projections(staff: Manager, db: ReadDb) -> ProjectionsShown:
    """Every projection and policy, the last rebuild or verification of each, and what its last nightly check found."""
    last = {run.name: RunShown.model_validate(run) for run in runs.states(db)}
    checks = {drift.name: DriftShown.model_validate(drift) for drift in drifts(db)}
    return ProjectionsShown(
        items=[
            ProjectionShown(**one, last_run=last.get(one["name"]), last_check=checks.get(one["name"]))
            for one in health.followers(db)
        ]
    )


@router.get("/past")
def list_past(staff: Manager, db: ReadDb) -> PastsShown:
    """The schemas of tables as of a position, or with other events than the site had."""
    return PastsShown(items=[PastShown(schema=name, shows=shows) for name, shows in past.schemas(db).items()])


@router.get("/{name}/differences")
def show_differences(name: str, staff: Manager, db: ReadDb, platform: PlatformDep) -> DifferencesShown:
    """Which rows the last verification of a projection found to differ, at most twenty of each table."""
    projection_named(platform, name)
    differences, rows = runs.found(db, name)
    return DifferencesShown(differences=differences, rows=[RowShown(**row) for row in rows])


@router.get(
    "/progress",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def follow_progress(staff: Manager, platform: PlatformDep) -> StreamingResponse:
    """Server-sent events: one `run` for each projection whose rebuild or verification has moved, and `end` when none
    runs or waits any more."""
    return StreamingResponse(_progress(platform), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _progress(platform: Platform) -> Iterator[str]:
    said: dict[str, str] = {}
    for _ in range(TELL_MAX):
        with platform.query_pool.connection() as connection:
            found = [RunShown.model_validate(run) for run in runs.states(connection)]
        for run in found:
            data = run.model_dump_json()
            is_news = said.get(run.name) != data
            if is_news and (run.name in said or run.state in UNDER_WAY):
                yield _event("run", data)
            said[run.name] = data
        if not any(run.state in UNDER_WAY for run in found):
            yield _event("end", "{}")
            return
        time.sleep(TELL_S)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
