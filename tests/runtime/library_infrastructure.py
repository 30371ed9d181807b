"""The library's own applications over our recorders: what the shipped suites are given as their infrastructure.

They save without metadata, so each save gets a command of its own here; and their events are not of our domain, so the
library's mapper writes them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from eventsourcing import cryptography
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
    StoredEvent,
    TrackingRecorder,
)
from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.db import open_pool
from runtime.recorder import FloorRecorder
from runtime.roles import APP_ROLE
from runtime.snapshots import SnapshotRecorder
from runtime.store import unbound_metadata
from tests.given import ACTOR

# The suites import the cipher over pycryptodome; the library has the same one over the package that we have.
sys.modules.setdefault("eventsourcing.cipher", cryptography)
from eventsourcing.tests import application, persistence, projection  # noqa: E402

__all__ = ["UnboundRecorder", "application", "library_pool", "persistence", "projection"]

#: The suites have a hundred threads at once wait for a connection.
PATIENCE_S = 60.0


class UnboundRecorder(FloorRecorder):
    """Every save is a command of its own."""

    def __init__(self, pool: ConnectionPool[Connection[Any]]) -> None:
        super().__init__(pool, lambda topic: 1)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        return super().insert_events(stored_events, metadata=unbound_metadata(ACTOR, "api"), **kwargs)


class Factory(InfrastructureFactory[TrackingRecorder]):
    """The seam by which the library's applications find our recorders."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._pool = library_pool(os.environ["DATABASE_OF_THE_SUITE"])

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        assert purpose == "snapshots"
        return SnapshotRecorder(self._pool)

    def application_recorder(self) -> ApplicationRecorder:
        return UnboundRecorder(self._pool)

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> TrackingRecorder:
        raise TypeError("followers keep their own positions")

    def process_recorder(self) -> ProcessRecorder:
        raise TypeError("followers keep their own positions")

    def close(self) -> None:
        self._pool.close()


def library_pool(database: str) -> ConnectionPool[Connection[Any]]:
    return open_pool(database, APP_ROLE, 10, timeout_s=PATIENCE_S)
