"""Every call of an edge's disk fails once: what was acknowledged is there, and nothing is after a failed sync.

`python -m tests.campaigns.io_errors --calls 60`: each of the first calls of a journal's writer, with EIO and with
ENOSPC, in a process of its own. There is no chance in it.
"""

from __future__ import annotations

import argparse
import errno
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.tracker_edge import failing_disk
from tests.tracker_edge.test_journal import check


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=60)
    options = parser.parse_args()
    failed, went_on, acknowledged = Counter[str](), 0, 0
    for error in (errno.EIO, errno.ENOSPC):
        for nth in range(1, options.calls + 1):
            with tempfile.TemporaryDirectory() as folder:
                outcome = failing_disk.run(Path(folder), nth, error)
                check(Path(folder), outcome, error)
            failed[f"{errno.errorcode[error]} of {outcome.call}"] += 1
            went_on += bool(outcome.after)
            acknowledged += len(outcome.before) + len(outcome.after)
    for what, count in sorted(failed.items()):
        sys.stdout.write(f"{what}: {count}\n")
    sys.stdout.write(f"{acknowledged:,} acknowledged and all of them there; {went_on} went on when there was room\n")


if __name__ == "__main__":
    main()
