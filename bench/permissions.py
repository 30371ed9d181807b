"""What it costs to ask whether a caller holds a permission, beside looking a word up in a dict.

The caller's permissions come with the one query that knows its credential; a route's check is a set's membership, and
the dependency around it that FastAPI calls.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial
from statistics import median
from uuid import UUID

from bench.figures import alternate, show
from domain.default_data import GROUPS
from domain.permissions import Permission
from domain.rights import effective
from runtime.http.deps import Caller, Permitted

#: The promise, in nanoseconds.
BOUND_NS = 5_000


def caller() -> Caller:
    """A moderator: of the groups with many permissions."""
    _, _, level, permissions = next(row for row in GROUPS if row[0] == "moderator")
    held = frozenset(str(permission) for permission in permissions)
    return Caller(UUID(int=1), "moda", "moderator", level, held, UUID(int=2), enabled=True)


def look_up(times: int) -> float:
    """Nanoseconds of the reference."""
    known, word = {str(permission): 1 for permission in Permission}, str(Permission.TORRENTS_MODERATE)
    began = time.perf_counter_ns()
    for _ in range(times):
        known[word]
    return (time.perf_counter_ns() - began) / times


def can(times: int) -> float:
    who, permission = caller(), Permission.TORRENTS_MODERATE
    began = time.perf_counter_ns()
    for _ in range(times):
        who.can(permission)
    return (time.perf_counter_ns() - began) / times


def permitted(times: int) -> float:
    who, dependency = caller(), Permitted(Permission.TORRENTS_MODERATE)

    async def ask() -> float:
        began = time.perf_counter_ns()
        for _ in range(times):
            await dependency(who)
        return (time.perf_counter_ns() - began) / times

    return asyncio.run(ask())


def worked_out(times: int) -> float:
    """From three groups, a grant, a denial and a ban: what a decision from the history pays, and no request."""
    groups = [frozenset(map(str, permissions)) for _, _, _, permissions in GROUPS[3:6]]
    began = time.perf_counter_ns()
    for _ in range(times):
        effective(groups, {"torrents.freeleech"}, {"community.post"}, {"requests.open"})
    return (time.perf_counter_ns() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--times", type=int, default=100_000)
    options = parser.parse_args()
    measures = {"a dict's look-up": look_up, "Caller.can": can, "Requires": permitted, "effective rights": worked_out}
    figures = alternate(options.rounds, {name: partial(one, options.times) for name, one in measures.items()})
    show("asking for a permission", figures, "a dict's look-up", "ns")
    usual = median(figures["Requires"])
    print(f"a route's check: {usual / 1000:.2f} µs = {usual / BOUND_NS:.2f} of the bound")


if __name__ == "__main__":
    main()
