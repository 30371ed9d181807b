"""What a MiB of .torrent, or of nonsense, costs to parse: beside a million turns of an empty Python loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.figures import alternate, show
from tests.metainfo.samples import code_of
from tests.metainfo.test_cost import ACCEPTED, MIB, REFUSED

ROUNDS = 5


def main() -> None:
    inputs = {**ACCEPTED, **REFUSED}
    measures = {name: lambda data=data: _ms(lambda: code_of(data)) * MIB / len(data) for name, data in inputs.items()}
    figures = alternate(ROUNDS, {"a million turns": lambda: _ms(_turns), **measures})
    show("parsing, per MiB of input", figures, "a million turns", "ms")


def _turns() -> None:
    for _ in range(1_000_000):
        pass


def _ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()
