"""Every benchmark with its defaults, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "figures", "http_load"}


def main() -> int:
    failed = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in NOT_BENCHMARKS:
            print(f"\n== {path.stem}", flush=True)
            if subprocess.run([sys.executable, "-m", f"bench.{path.stem}"]).returncode:
                failed.append(path.stem)
    if failed:
        print(f"did not run to the end: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
