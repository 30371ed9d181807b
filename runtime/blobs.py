"""Files beside events: kept by their hash, once, for as long as the events that name them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from psycopg import Cursor

from runtime.recorder import Beside


def keeping(data: bytes) -> Beside:
    """Saves `data` in the command's transaction, so that none is there without the event that names it."""
    row = (sha256(data).digest(), data)

    def insert(cursor: Cursor[Any]) -> None:
        cursor.execute("INSERT INTO es.blob (sha256, data) VALUES (%s, %s) ON CONFLICT DO NOTHING", row)

    return insert
