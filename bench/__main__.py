"""Every benchmark in a short form, one after the other; `python -m bench.NAME` runs one of them in full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What makes them short; those that are not named here are short as they are.
SHORT = {
    "audit": ["--events=100000", "--rounds=1"],
    "commands": ["--seconds=2", "--rounds=1"],
    "edge": ["--short"],
    "effect": ["--rounds=5"],
    "lag": ["50"],
    "load": ["--seconds=5", "--kill", "--timeout=2"],
    "projector": ["--users=2000", "--segments=20", "--rounds=2", "--lag-seconds=3"],
    "ranks": ["--users=20000", "--rounds=2"],
    "rebuild": ["--events=20000", "--swaps=5"],
    "restore": ["--peers=100000"],
    "several": ["--peers=30"],
    "signin": ["--seconds=2", "--rounds=1"],
    "store": ["--seconds=2", "--rounds=1", "--events=12000"],
}
#: Parts of the others.
NOT_BENCHMARKS = {"__init__", "__main__", "catalogue", "figures", "http_load", "requests", "stand_alone"}


def main() -> int:
    here = Path(__file__).parent
    modules = {path.stem for path in here.glob("*.py")} - NOT_BENCHMARKS
    packages = {path.parent.name for path in here.glob("*/__main__.py")}
    failed = []
    for name in sorted(modules | packages):
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *SHORT.get(name, ())]).returncode:
            failed.append(name)
    if failed:
        print(f"did not run to the end: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
