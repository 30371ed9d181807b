"""How benchmarks repeat and print: medians over alternating rounds, and every figure beside its reference."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table


def alternate(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run every measure in turn, `rounds` times, so that a noisy minute falls on all of them."""
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            figures[name].append(measure())
    return figures


def show(title: str, figures: Mapping[str, list[float]], reference: str, unit: str) -> None:
    """A table of medians, ranges and ratios to the reference's median."""
    base = statistics.median(figures[reference])
    table = Table("", f"median {unit}", "range", f"ratio to {reference}", title=title)
    for name, values in figures.items():
        median = statistics.median(values)
        table.add_row(name, f"{median:,.1f}", f"{min(values):,.1f} – {max(values):,.1f}", f"{median / base:.2f}")
    Console(width=120).print(table)
