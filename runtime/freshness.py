"""Reads after one's own write: a query waits until its projections have reached the position of a command's answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from anyio import sleep, to_thread
from fastapi import Depends, Header, Request

from domain.errors import DomainError
from runtime.follower_settings import paused
from runtime.http.types import WholeNumber
from runtime.platform import Platform

#: How long a query waits; after that the caller is told to come again.
WAIT_S = 1.0
#: A projection follows within a few milliseconds, so look often at first.
FIRST_LOOK_S = 0.002
LAST_LOOK_S = 0.032

MinPosition = Annotated[
    WholeNumber | None, Header(description="the `position` of a command, which the answer has to show")
]


class ProjectionBehind(DomainError):
    """What the caller wants to see has not been projected yet."""

    status: ClassVar[int] = 503
    retry_after_s: ClassVar[int] = 1


class ProjectionPaused(ProjectionBehind):
    """An operator lets the projection stand still, so waiting is of no use now."""

    retry_after_s: ClassVar[int] = 30


@dataclass(frozen=True)
class Fresh:
    """The `X-Min-Position` that the caller sends has been reached by all of these projections."""

    projections: tuple[str, ...]

    async def __call__(self, request: Request, x_min_position: MinPosition = None) -> None:
        if x_min_position:
            await wait_for(request.app.state.platform, self.projections, x_min_position)


def fresh(*projections: str) -> Any:
    """`Fresh` as a dependency, for the signatures of routes."""
    return Depends(Fresh(projections))


async def wait_for(platform: Platform, projections: tuple[str, ...], position: int) -> None:
    """Return when each projection has reached `position`; raise ProjectionBehind when that takes too long."""
    deadline, pause = time.monotonic() + WAIT_S, FIRST_LOOK_S
    while not await to_thread.run_sync(has_reached, platform, projections, position):
        if pause == LAST_LOOK_S:
            await to_thread.run_sync(_refuse_paused, platform, projections)
        if time.monotonic() + pause > deadline:
            raise ProjectionBehind("this has not been projected yet, try again")
        await sleep(pause)
        pause = min(2 * pause, LAST_LOOK_S)


def _refuse_paused(platform: Platform, projections: tuple[str, ...]) -> None:
    with platform.pool.connection() as connection:
        if names := paused(connection, projections):
            raise ProjectionPaused(f"{', '.join(names)} is paused by an operator, try again later")


def has_reached(platform: Platform, projections: tuple[str, ...], position: int) -> bool:
    """Whether each projection stands at `position`, or has nothing to do between where it stands and there.

    One that has put the fact at `position` aside as a dead letter has not reached it.
    """
    topics = platform.topics
    with platform.pool.connection() as connection:
        return all(
            connection.execute(
                "SELECT EXISTS (SELECT FROM es.event e WHERE e.position <= %(to)s AND e.position > coalesce("
                " (SELECT f.position FROM es.follower f WHERE f.name = %(name)s), 0)"
                " AND (%(types)s::int[] IS NULL OR e.type = ANY (%(types)s)))"
                " OR EXISTS (SELECT FROM es.dead_letter l WHERE l.follower = %(name)s AND l.position = %(to)s)",
                {"to": position, "name": name, "types": _types(platform, topics[name])},
            ).fetchone()
            == (False,)
            for name in projections
        )


def _types(platform: Platform, topics: list[str] | None) -> list[int] | None:
    return None if topics is None else [platform.history.types.type_id(topic) for topic in topics]
