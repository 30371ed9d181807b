"""Random and damaged datagrams, then guessed connection ids, against the UDP tracker.

`python -m tests.campaigns.udp_fuzz [DATAGRAMS [GUESSES [SEED]]]`, by default 200,000 and 10,000,000.
"""

from __future__ import annotations

import secrets
import sys
import time
from random import Random

from tests.tracker_edge.edges import SECRET
from tests.tracker_edge.udp_fuzz import Fuzz
from tracker_edge.connection_ids import ConnectionIds

NOW = 1_800_000_000


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    datagrams, guesses, seed = (*given, *(200_000, 10_000_000, secrets.randbits(32))[len(given) :])
    print(f"seed {seed}", flush=True)  # noqa: T201
    began = time.perf_counter()
    outcomes = Fuzz(seed).run(datagrams)
    figures = ", ".join(f"{outcome} {number:,}" for outcome, number in outcomes.most_common())
    print(f"{datagrams:,} datagrams in {time.perf_counter() - began:.1f} s: {figures}", flush=True)  # noqa: T201
    began = time.perf_counter()
    hits = guessed_right(guesses, seed)
    print(f"{guesses:,} guessed ids in {time.perf_counter() - began:.1f} s: {hits} right")  # noqa: T201
    assert hits <= 1 + guesses // 2**30, "one in 2^32 is chance"


def guessed_right(count: int, seed: int) -> int:
    """How many of these ids of the present second prove an address."""
    ids, rng, stamp = ConnectionIds(SECRET), Random(seed), NOW.to_bytes(4, "big")
    address = rng.randbytes(4)
    return sum(ids.check(stamp + rng.randbytes(4), address, NOW) > 0 for _ in range(count))


if __name__ == "__main__":
    main()
