"""How old is what this process knows of people's rights? Who cannot tell for long must not let anybody in by it.

Rights are read from tables that followers write. A follower that has stopped, or a database that does not answer,
leaves them as they were: a ban of a minute ago would be no ban. Their age is how long the oldest fact has waited that
would change them, and how long ago that was asked last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import Connection

#: From then on, what needs rights is refused.
RIGHTS_KNOWN_FOR_S = 30.0
#: Up to here nobody looks for the facts that the follower reads among those that it does not.
GOOD_ENOUGH_S = 15.0
#: A process asks no more often: the answer is about half a minute.
ASK_EVERY_S = 1.0


class Knowledge:
    """The age of what some followers have made. `ask` tells their lag in seconds; several threads may use this."""

    def __init__(self, ask: Callable[[Connection[Any]], float], now_s: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._now_s = now_s
        self._asked_s = -ASK_EVERY_S
        self._as_of_s = now_s()

    @property
    def age_s(self) -> float:
        """Of the moment as of which everything is known."""
        return self._now_s() - self._as_of_s

    @property
    def is_good(self) -> bool:
        return self.age_s <= RIGHTS_KNOWN_FOR_S

    def refresh(self, connection: Connection[Any]) -> None:
        """Ask again, unless that was a moment ago."""
        now_s = self._now_s()
        if now_s - self._asked_s >= ASK_EVERY_S:
            self._asked_s = now_s  # before the answer: others need not wait for it
            self._as_of_s = now_s - self._ask(connection)


def lag_s(connection: Connection[Any], types: Mapping[str, Sequence[int]]) -> float:
    """How long the oldest fact has waited that one of these followers has not handled; `types` are those it reads."""
    return max((_lag_s(connection, name, list(numbers)) for name, numbers in types.items()), default=0.0)


def _lag_s(connection: Connection[Any], follower: str, types: list[int]) -> float:
    """A follower passes what it does not read as well, so the next fact of any type is nearly as good and cheap."""
    of_any = _waited_s(connection, follower, None)
    return of_any if of_any <= GOOD_ENOUGH_S else _waited_s(connection, follower, types)


def _waited_s(connection: Connection[Any], follower: str, types: list[int] | None) -> float:
    row = connection.execute(
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - (SELECT e.recorded_at FROM es.event e"
        " WHERE e.position > coalesce((SELECT f.position FROM es.follower f WHERE f.name = %(name)s), 0)"
        " AND (%(types)s::int[] IS NULL OR e.type = ANY (%(types)s)) ORDER BY e.position LIMIT 1)), 0)::float8",
        {"name": follower, "types": types},
    ).fetchone()
    assert row is not None
    return max(0.0, float(row[0]))
