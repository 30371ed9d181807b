"""What it costs to refuse a document that attacks, beside what an ordinary one costs before it is answered.

Nothing is looked up in either case: texts are parsed, measured, validated against the schema, and weighed.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from statistics import median

from bench.figures import alternate, show
from queries import SCHEMA
from runtime.graphql.errors import DocumentRefused
from runtime.graphql.prepare import prepare
from tests.graphql.attacks import Attack, attacks

#: The promise: no attack takes longer.
BOUND_MS = 20.0
ORDINARY = """query page($id: ID!) {
    torrent(torrent_id: $id) { name description size files { path length } uploader { username user { group } }
      peers { items { client seeder } } }
    requests(first: 10) { items { title bounty requester { username user { stats { ratio } } } } next_cursor }
}"""
ID = "0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00"


def ordinary(times: int, *, known: bool) -> float:
    """Milliseconds of the processor for a document that was asked before, or that nobody has asked yet."""
    began = time.thread_time()
    for n in range(times):
        prepare(
            SCHEMA, ORDINARY if known else f"{ORDINARY} # {time.monotonic_ns()}{n}", {"id": ID}, introspection=False
        )
    return (time.thread_time() - began) * 1000 / times


def refuse(attack: Attack, times: int) -> float:
    """Milliseconds of the processor."""
    began = time.thread_time()
    for _ in range(times):
        try:
            prepare(SCHEMA, attack.document, attack.variables or {}, introspection=False)
        except DocumentRefused:
            continue
        raise AssertionError(f"{attack.name} was let in")
    return (time.thread_time() - began) * 1000 / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    known = list(attacks())
    figures = alternate(options.rounds, {attack.name: partial(refuse, attack, options.times) for attack in known})
    dearest = sorted(figures, key=lambda name: median(figures[name]), reverse=True)[:5]
    reference = "an ordinary document"
    measures = {
        reference: partial(ordinary, options.times, known=False),
        "the same again": partial(ordinary, options.times, known=True),
    }
    shown = alternate(options.rounds, measures) | {f"attack: {name}": figures[name] for name in dearest}
    show(f"before anything is looked up: {len(known)} attacks, the five dearest", shown, reference, "ms")
    worst = median(figures[dearest[0]])
    print(f"the dearest attack takes {worst:.1f} ms = {worst / BOUND_MS:.2f} of the bound")


if __name__ == "__main__":
    main()
