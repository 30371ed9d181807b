"""How long `tracker up` takes from the command to `ready`: the first start of a site, then further ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.figures import show
from tests.site import Site

ROUNDS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        first, later = [_start(site)], [_start(site) for _ in range(ROUNDS)]
    show("start to ready", {"first start": first, "second start": later}, "first start", "s")


def _start(site: Site) -> float:
    took = site.start()
    site.stop()
    return took


if __name__ == "__main__":
    main()
