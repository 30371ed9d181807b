"""Pictures that are made to hurt, each through the process that decodes it.

`python -m tests.campaigns.pictures [--files 300] [--seed 7]`: prints what became of them, the longest time that one
took, and how much this process has grown.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys

from tests.runtime.hostile_pictures import Corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.files} files\n")
    corpus, before = Corpus(arguments.seed), _resident_mib()
    corpus.run(arguments.files)
    figures = ", ".join(f"{outcome} {number}" for outcome, number in corpus.outcomes.most_common())
    grown = _resident_mib() - before
    sys.stdout.write(f"{figures}; longest {corpus.longest_s:.1f} s, grown by {grown} MiB, the makers included\n")


def _resident_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
