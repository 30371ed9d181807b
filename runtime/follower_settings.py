"""What operators tell followers: to pause, what to do about errors, and which types of events not to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from domain.errors import NotFound
from runtime.attempts import forgive
from runtime.platform import Platform
from runtime.projection import Follower, OnError, Projection

#: How long `pause` waits for the batch at hand.
SETTLE = "1s"


class NoSuchFollower(NotFound):
    """No projection or policy has this name."""

    code = "not_found"


class NoSuchType(NotFound):
    """No event of this type was ever recorded, or this code knows it."""


def named(platform: Platform, name: str) -> Follower:
    """The projection or policy; raises `NoSuchFollower`."""
    for follower in platform.followers:
        if follower.name == name:
            return follower
    raise NoSuchFollower("no projection or policy has this name")


def projection_named(platform: Platform, name: str) -> Projection:
    """The projection; raises `NoSuchFollower`."""
    found = named(platform, name)
    if not isinstance(found, Projection):
        raise NoSuchFollower("this is a policy: it has no tables")
    return found


def projections_named(platform: Platform, names: Sequence[str] | None) -> list[Projection]:
    """These projections, each once, or all of them; raises `NoSuchFollower`."""
    if names is None:
        return [follower for follower in platform.followers if isinstance(follower, Projection)]
    return [projection_named(platform, name) for name in dict.fromkeys(names)]


def pause(platform: Platform, name: str) -> bool:
    """Let a follower stand still until it is resumed, over restarts; raises `NoSuchFollower`.

    No transaction begins afterwards. Returns whether the one at hand, if any, ended within a second.
    """
    named(platform, name)
    with platform.projector_pool.connection() as connection:
        connection.execute(
            "INSERT INTO es.follower_setting (name, paused_at) VALUES (%s, clock_timestamp()) ON CONFLICT (name)"
            " DO UPDATE SET paused_at = coalesce(follower_setting.paused_at, excluded.paused_at)",
            (name,),
        )
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', %s, true)", (SETTLE,))
                connection.execute("SELECT FROM es.follower WHERE name = %s FOR UPDATE", (name,))
        except LockNotAvailable:
            return False
    return True


def resume(platform: Platform, name: str) -> bool:
    """Let a paused follower go on, and try a fact again that has killed its workers; returns whether it was paused.

    Raises `NoSuchFollower`.
    """
    named(platform, name)
    with platform.projector_pool.connection() as connection:
        forgive(connection, name)
        changed = connection.execute(
            "UPDATE es.follower_setting SET paused_at = NULL WHERE name = %s AND paused_at IS NOT NULL", (name,)
        ).rowcount
    return changed == 1


def paused(connection: Connection[Any], names: Sequence[str]) -> list[str]:
    """Those of the followers that are paused."""
    rows = connection.execute(
        "SELECT name FROM es.follower_setting WHERE name = ANY(%s) AND paused_at IS NOT NULL ORDER BY name",
        (list(names),),
    ).fetchall()
    return [name for (name,) in rows]


def set_on_error(platform: Platform, name: str, on_error: OnError | None) -> None:
    """What a follower does from now on about facts that it cannot handle; None is as the code declares it.

    A halted one does it when it is tried again, within seconds. Raises `NoSuchFollower`.
    """
    named(platform, name)
    with platform.projector_pool.connection() as connection:
        connection.execute(
            "INSERT INTO es.follower_setting (name, on_error) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET on_error = excluded.on_error",
            (name, on_error),
        )


def ignore_type(platform: Platform, topic: str) -> None:
    """Let no follower wait for events of a type that this code does not know: the code that did was taken back.

    When code that knows them returns, what it makes of them takes a rebuild. Raises `NoSuchType`.
    """
    with platform.projector_pool.connection() as connection:
        changed = connection.execute(
            "UPDATE es.event_type SET ignored = true WHERE name = %s AND name <> ALL(%s)",
            (topic, platform.history.codec.topics),
        ).rowcount
    if not changed:
        raise NoSuchType(f"no follower waits for {topic!r}")
