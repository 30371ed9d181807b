"""Random, damaged and pipelined requests against the HTTP tracker, in this process.

`python -m tests.campaigns.http_fuzz [--inputs 1000000] [--seed 7]`: each input is one connection's stream.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.tracker_edge.http_fuzz import Fuzz

PORTION = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.inputs:,} inputs\n")
    sys.stdout.flush()
    began, fuzz = time.monotonic(), Fuzz(arguments.seed)
    for done in range(0, arguments.inputs, PORTION):
        fuzz.run(min(PORTION, arguments.inputs - done))
    figures = ", ".join(f"{outcome} {number:,}" for outcome, number in fuzz.outcomes.most_common())
    sys.stdout.write(f"{arguments.inputs:,} inputs in {time.monotonic() - began:.0f} s, none won: {figures}\n")
    for reason, number in fuzz.reasons.most_common():
        sys.stdout.write(f"  {reason.decode()}: {number:,}\n")


if __name__ == "__main__":
    main()
