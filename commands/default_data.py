"""What a new site starts with, written once."""

from __future__ import annotations

from domain.base import Aggregate
from domain.default_data import default_data
from runtime.store import Store, VersionConflict

#: Another process that starts at the same moment writes the same; the loser looks again.
ATTEMPTS = 5


def seed(store: Store) -> int:
    """Write every group, category, forum, room and rule that does not exist yet, all in one; returns how many."""
    for attempt in range(ATTEMPTS):
        missing = _missing(store)
        if not missing:
            return 0
        try:
            store.save(*missing)
        except VersionConflict:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return len(missing)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _missing(store: Store) -> list[Aggregate]:
    return [aggregate for aggregate in default_data() if store.find(type(aggregate), aggregate.id) is None]
