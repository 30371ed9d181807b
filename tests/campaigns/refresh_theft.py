"""Interleavings of a victim's tabs and a thief who copied a refresh token, each step against the model.

`python -m tests.campaigns.refresh_theft --interleavings 1000 --seed 7` repeats the campaign of that seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.auth.refresh_theft import stage, thefts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interleavings", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.interleavings:,} interleavings\n")
    sys.stdout.flush()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as platform:
        seen = thefts(platform, arguments.seed, arguments.interleavings)
    sys.stdout.write(f"{arguments.interleavings:,} in {time.monotonic() - began:.0f} s, 0 differences\n")
    for what, count in sorted(seen.items()):
        sys.stdout.write(f"  {what}: {count:,}\n")


if __name__ == "__main__":
    main()
