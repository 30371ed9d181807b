"""The eventsourcing library's shipped test cases, run on our recorders; what is left out is named with its reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any
from unittest import TestCase

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.recorder import FloorRecorder
from runtime.snapshots import SnapshotRecorder
from tests.runtime.library_infrastructure import (
    UnboundRecorder,
    application,
    library_pool,
    persistence,
    projection,
)

pytestmark = pytest.mark.engine

FACTORY = "tests.runtime.library_infrastructure:Factory"

#: Shipped cases that ask for what this store does not have, and why it does not.
LEFT_OUT = {
    "NonInterleavingNotificationIDsBaseCase": "positions of two commands may interleave: no lock makes writers wait for"
    " each other, and readers go by es.safe_position() (tests/runtime/test_recorder.py)",
    "InfrastructureFactoryTestCase": "reads ciphers, compressors and four recorder classes from environment variables;"
    " settings are read once (runtime/configuration.py), and a cipher of one key for all could erase nobody",
    "TrackingRecorderTestCase": "followers keep their positions in es.follower, in the transaction of their rows",
    "ProcessRecorderTestCase": "the same: no recorder writes events and positions of a follower",
    "TranscoderTestCase": "events are written from their types and read strictly into them (runtime/codec.py); nothing"
    " tells types by tags within the data",
    "EventCountersViewTestCase": "the same, seen from a view (tests/runtime/test_follow.py)",
    "AggregateEventCountersProjectionTestCase": "subscribes; NOTIFY at every commit would serialise all of them",
    "TaggedDecisionCountersProjectionTestCase": "is about the library's other store, of decisions with tags",
    "EventSourcedProjectionTestCase": "subscribes, as above",
}
#: Base classes that have no case of their own.
BASES = {"TestCase", "RecorderTestCase"}


class OnOurStore:
    """A database of its own for each case."""

    pool: ConnectionPool[Connection[Any]]

    @pytest.fixture(autouse=True)
    def store(self, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("PERSISTENCE_MODULE", FACTORY)
        monkeypatch.setenv("DATABASE_OF_THE_SUITE", database)
        with library_pool(database) as self.pool:
            yield


class TestSnapshotRecorder(OnOurStore, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        return SnapshotRecorder(self.pool)


class TestApplicationRecorder(OnOurStore, persistence.ApplicationRecorderTestCase[FloorRecorder]):
    def create_recorder(self) -> FloorRecorder:
        return UnboundRecorder(self.pool)


class TestExampleApplication(OnOurStore, application.ExampleApplicationTestCase):
    expected_factory_topic = FACTORY


@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")  # one case looks for it
class TestApplication(OnOurStore, application.ApplicationTestCase):
    pass


def test_every_shipped_case_is_run_or_left_out_for_a_reason() -> None:
    shipped = {
        name
        for module in (application, persistence, projection)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, TestCase)
    }
    run = {
        base.__name__
        for ours in (TestSnapshotRecorder, TestApplicationRecorder, TestExampleApplication, TestApplication)
        for base in ours.__mro__
    }
    assert shipped - run - BASES == LEFT_OUT.keys()
