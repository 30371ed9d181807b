"""What tests of exports read and write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.announces import Event, decode
from domain.clients import client
from runtime.export.announces import Reading

READING = Reading(decode, lambda number: Event(number).name.lower(), client)

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def nothing(done: int, total: int) -> None:
    """Nobody watches the progress."""


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("*.ndjson")) for line in path.read_text().splitlines()]
