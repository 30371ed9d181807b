"""How the journals on this machine fit the store: what edges find when they go on after a restore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from runtime.journal import heads


@dataclass(frozen=True)
class EdgeStanding:
    """An edge's chain in the store ends with segment `stored`; its files here are `first` to `last`, None for none."""

    edge_id: str
    stored: int
    first: int | None
    last: int | None

    def __str__(self) -> str:
        ends = f"{self.edge_id}: the store ends at segment {self.stored}, "
        match self.first, self.last:
            case None, _:
                return ends + "no journal here"
            case int(first), int() if first == self.stored + 1:
                return ends + f"its journal goes on with {first}"
            case int(first), int(last) if first > self.stored:
                gap = f"{self.stored + 1}" if first == self.stored + 2 else f"{self.stored + 1} to {first - 1}"
                return (
                    ends + f"its journal is AHEAD and goes on with {first}: segments {gap} were shipped to the store"
                    f" that is lost. At its next start the edge is fenced and ships {first} to {last} as a chain of its"
                    " own; clients' next announces make up for what is missing"
                )
            case _:
                return (
                    ends + f"its journal is BEHIND and begins with {self.first}: what the store has is recognised, what"
                    " differs is fenced and shipped as a chain of its own"
                )


def standings(connection: Connection[Any], data_dir: Path) -> list[EdgeStanding]:
    """Every edge that the store or this machine knows."""
    stored = {head.edge_id: head.seq for head in heads(connection)}
    here = {path.name: _files(path) for path in (data_dir / "edge").glob("*") if path.is_dir()}
    return [
        EdgeStanding(edge_id, stored.get(edge_id, 0), *_ends(here.get(edge_id, [])))
        for edge_id in sorted(stored.keys() | {name for name, files in here.items() if files})
    ]


def _files(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob("*.journal") if path.stem.isdigit())


def _ends(files: list[int]) -> tuple[int | None, int | None]:
    return (files[0], files[-1]) if files else (None, None)
