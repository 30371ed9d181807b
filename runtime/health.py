"""Whether a site is well: the store answers, and no follower has stopped or fallen far behind."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from runtime.platform import Platform

#: Followers keep up within milliseconds; this long behind means that something is wrong.
LAG_MAX_S = 30.0

_LAG = """
SELECT f.name, CASE WHEN s.paused_at IS NULL THEN f.state ELSE 'paused' END, f.position, es.safe_position(),
       coalesce(extract(epoch FROM clock_timestamp() - (
         SELECT e.recorded_at FROM es.event e WHERE e.position > f.position ORDER BY e.position LIMIT 1)), 0)::float8,
       coalesce(l.letters, 0), f.failed_position, f.error
FROM es.follower f
LEFT JOIN es.follower_setting s USING (name)
LEFT JOIN (SELECT follower, count(*) AS letters FROM es.dead_letter GROUP BY 1) l ON l.follower = f.name
ORDER BY f.name
"""


def followers(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Where each follower stands: name, state (running, halted, waiting or paused), position, lag in events and in
    seconds, dead letters, and the position and error that it halted at or waits for."""
    return [
        {
            "name": name,
            "state": state,
            "position": at,
            "lag_events": max(0, head - at),
            "lag_s": round(max(0.0, lag), 3),
            "dead_letters": letters,
            "failed_position": failed_position,
            "error": error,
        }
        for name, state, at, head, lag, letters, failed_position, error in connection.execute(_LAG).fetchall()
    ]


def report(platform: Platform) -> dict[str, Any]:
    """What each component says; `ready` is false when commands or queries could not be answered rightly."""
    components: dict[str, Any] = {"valkey": _valkey(platform)}
    try:
        with platform.pool.connection() as connection:
            behind = [one["name"] for one in followers(connection) if _is_behind(one)]
        components["store"] = "ok"
        components["projections"] = f"behind: {', '.join(behind)}" if behind else "ok"
    except (OperationalError, PoolTimeout):
        components["store"] = "away"
    ready = components["store"] == "ok" and components["projections"] == "ok"
    well = ready and components["valkey"] == "ok"
    return {
        "status": "ok" if well else "degraded" if ready else "unavailable",
        "ready": ready,
        "components": components,
    }


def _is_behind(follower: dict[str, Any]) -> bool:
    """A paused one is where its operator wants it: who reads after own writes is told so, all others are answered."""
    late = follower["lag_s"] > LAG_MAX_S
    return follower["state"] == "halted" or (follower["state"] != "paused" and bool(late))


def _valkey(platform: Platform) -> str:
    try:
        platform.broker.client.ping()
        return "ok"
    except RedisError:
        return "away"
