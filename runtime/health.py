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
SELECT f.name, f.state, f.position, es.safe_position(),
       coalesce(extract(epoch FROM clock_timestamp() - (
         SELECT e.recorded_at FROM es.event e WHERE e.position > f.position ORDER BY e.position LIMIT 1)), 0)::float8
FROM es.follower f ORDER BY f.name
"""


def followers(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Where each follower stands: name, state, position, lag in events and in seconds."""
    return [
        {
            "name": name,
            "state": state,
            "position": at,
            "lag_events": max(0, head - at),
            "lag_s": round(max(0.0, lag), 3),
        }
        for name, state, at, head, lag in connection.execute(_LAG).fetchall()
    ]


def report(platform: Platform) -> dict[str, Any]:
    """What each component says; `ready` is false when commands or queries could not be answered rightly."""
    components: dict[str, Any] = {"valkey": _valkey(platform)}
    try:
        with platform.pool.connection() as connection:
            behind = [f["name"] for f in followers(connection) if f["state"] != "running" or f["lag_s"] > LAG_MAX_S]
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


def _valkey(platform: Platform) -> str:
    try:
        platform.broker.client.ping()
        return "ok"
    except RedisError:
        return "away"
