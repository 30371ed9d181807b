"""Segments reach the store in order and once, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from domain.announces import ROW_BYTES, Announce, Event, pack
from runtime.journal import GENESIS, AlreadyRecorded, BrokenChain, Fenced, Segment, seal, verify
from tests.given import NOON
from tests.tracker_edge.edges import MemoryStore, keys
from tracker_edge.journal import Journal, writer
from tracker_edge.shipper import Shipper, sealed


def row(number: int) -> bytes:
    return pack(Announce(number, bytes(16), bytes(16), bytes(20), Event.REGULAR, 0, 0, 0, bytes(4), 6881, 0))


def numbers(store: MemoryStore) -> list[int]:
    return [announce.received_at_us for announce in store.announces]


async def closed(journal: Journal, *groups: Sequence[int]) -> None:
    for group in groups:
        for number in group:
            journal.append(row(number))
        await journal.settled()
        await journal.rotate()


def shipper(journal: Journal, store: MemoryStore, previous: bytes = GENESIS) -> Shipper:
    return Shipper(journal, "edge", store.ship, keys, previous, interval_s=0.01)


def test_closed_files_become_a_chain_and_are_deleted(tmp_path: Path) -> None:
    async def run() -> MemoryStore:
        journal, store = Journal(tmp_path, 1), MemoryStore()
        await closed(journal, [3, 1, 2], [4], [5, 6])
        await shipper(journal, store).ship_closed()
        assert journal.closed == []
        await journal.close()
        return store

    store = asyncio.run(run())
    head = verify(store.segments)
    assert head is not None
    assert head.seq == 3
    assert numbers(store) == [3, 1, 2, 4, 5, 6]
    first = store.segments[0]
    assert (first.announces, first.first_at.microsecond, first.last_at.microsecond) == (3, 1, 3)
    assert [path.name for path in tmp_path.glob("*.journal")] == [f"{4:016d}.journal"]


def test_what_is_written_is_shipped_within_the_interval(tmp_path: Path) -> None:
    async def run() -> None:
        journal, store = Journal(tmp_path, 1), MemoryStore()
        shipping = asyncio.create_task(shipper(journal, store).run())
        for number in range(5):
            journal.append(row(number))
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.1)
        assert numbers(store) == [0, 1, 2, 3, 4]
        assert len(store.segments) > 1
        shipping.cancel()
        await asyncio.wait([shipping])
        await journal.close()

    asyncio.run(run())


def test_files_wait_while_the_store_is_away(tmp_path: Path) -> None:
    async def run() -> None:
        journal, store = Journal(tmp_path, 1), MemoryStore()
        store.away = True
        await closed(journal, [1], [2])
        ship = shipper(journal, store)
        shipping = asyncio.create_task(ship.ship_closed())
        await asyncio.sleep(0.25)
        assert ship.failures > 0
        assert journal.closed == [1, 2]
        await closed(journal, [3])
        store.away = False
        await asyncio.wait_for(shipping, 5)
        assert (numbers(store), ship.failures) == ([1, 2, 3], 0)
        await journal.close()

    asyncio.run(run())


def test_a_store_that_is_away_for_long_gets_many_segments_and_no_huge_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sealed is in memory three times, and whoever reads a segment has all of it at once."""
    monkeypatch.setattr(writer, "FILE_BYTES", 10 * ROW_BYTES)
    monkeypatch.setattr(writer, "GROUP_BYTES", 4 * ROW_BYTES)
    monkeypatch.setattr("tracker_edge.shipper.SHIPMENT_BYTES", 50 * ROW_BYTES)
    shipments: list[list[int]] = []

    class Counting(MemoryStore):
        def ship(self, segments: Sequence[Segment]) -> None:
            super().ship(segments)
            shipments.append([segment.announces for segment in segments])

    async def run() -> None:
        journal, store = Journal(tmp_path, 1), Counting()
        store.away = True
        shipping = asyncio.create_task(shipper(journal, store).run())
        for number in range(400):
            journal.append(row(number))
            if number % 4 == 3:
                await journal.settled()
        store.away = False
        while len(store.announces) < 400:
            await asyncio.sleep(0.01)
        assert numbers(store) == list(range(400))
        assert max(max(shipment) for shipment in shipments) < 20
        assert max(sum(shipment) for shipment in shipments) <= 60
        assert verify(store.segments) is not None
        shipping.cancel()
        await asyncio.wait([shipping])
        await journal.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_segment_that_claims_to_be_huge_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = seal("edge", 1, 1, NOON, NOON, GENESIS, bytes(2000))
    assert made.payload == bytes(2000)
    monkeypatch.setattr("runtime.journal.MAX_PAYLOAD_BYTES", 1999)
    with pytest.raises(BrokenChain, match="segment 1 of edge is larger than any that was sealed"):
        _ = made.payload


def test_files_wait_while_the_keys_cannot_be_asked(tmp_path: Path) -> None:
    """No address leaves in clear because the database of keys is away."""

    async def run() -> None:
        journal, store, away = Journal(tmp_path, 1), MemoryStore(), [True]

        def asked(users: Sequence[bytes]) -> list[bytes]:
            if away[0]:
                raise ConnectionError("the keys are away")
            return keys(users)

        await closed(journal, [1], [2])
        ship = Shipper(journal, "edge", store.ship, asked, GENESIS, interval_s=0.01)
        shipping = asyncio.create_task(ship.ship_closed())
        while not ship.failures:
            await asyncio.sleep(0.01)
        assert (journal.closed, store.segments) == ([1, 2], [])
        away[0] = False
        await asyncio.wait_for(shipping, 5)
        assert (numbers(store), ship.failures) == ([1, 2], 0)
        await journal.close()

    asyncio.run(run())


def test_what_the_store_has_already_is_not_shipped_again(tmp_path: Path) -> None:
    """The answer to a shipment was lost, or a crash came before the deletion; the bytes in the store may differ."""

    class Knowing(MemoryStore):
        def ship(self, segments: Sequence[Segment]) -> None:
            for segment in segments:
                if segment.seq <= 2:
                    raise AlreadyRecorded("it is there", bytes([segment.seq]) * 32)
            super().ship(segments)

    async def run() -> None:
        journal, store = Journal(tmp_path, 1), Knowing()
        await closed(journal, [1], [2], [3])
        await shipper(journal, store).ship_closed()
        assert numbers(store) == [3]
        assert store.segments[0].previous == b"\x02" * 32
        assert journal.closed == []
        await journal.close()

    asyncio.run(run())


def test_a_fenced_edge_stops_acknowledging(tmp_path: Path) -> None:
    class Taken(MemoryStore):
        def ship(self, segments: Sequence[Segment]) -> None:
            raise Fenced("another process")

    async def run() -> None:
        journal = Journal(tmp_path, 1)
        await closed(journal, [1])
        await shipper(journal, Taken()).ship_closed()
        assert isinstance(journal.failure, Fenced)
        await journal.close()

    asyncio.run(run())


def test_a_restart_goes_on_with_the_files_and_the_chain(tmp_path: Path) -> None:
    async def run() -> None:
        store = MemoryStore()
        journal = Journal(tmp_path, 1)
        await closed(journal, [1])
        await shipper(journal, store).ship_closed()
        await closed(journal, [2])
        journal.append(row(3))
        await journal.settled()
        await journal.close()  # as after a crash: one closed file, one open file

        journal = Journal(tmp_path, 99)
        assert [a.received_at_us for a in store.announces] == [1]
        ship = shipper(journal, store, store.segments[-1].sha256)
        await journal.rotate()
        await ship.ship_closed()
        await journal.close()
        assert numbers(store) == [1, 2, 3]
        assert verify(store.segments) is not None

    asyncio.run(run())


def test_the_same_file_makes_the_same_segment(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(tmp_path, 1)
        await closed(journal, range(100))
        assert sealed(tmp_path, "edge", 1, GENESIS, keys) == sealed(tmp_path, "edge", 1, GENESIS, keys)
        await journal.close()

    asyncio.run(run())


@pytest.mark.parametrize("field", ["seq", "announces", "data", "previous", "edge_id"])
def test_a_changed_segment_breaks_the_chain(tmp_path: Path, field: str) -> None:
    async def run() -> Segment:
        journal = Journal(tmp_path, 1)
        await closed(journal, [1])
        segment = sealed(tmp_path, "edge", 1, GENESIS, keys)
        await journal.close()
        return segment

    segment = asyncio.run(run())
    other: dict[str, Any] = {"seq": 2, "announces": 2, "data": b"", "previous": b"\1" * 32, "edge_id": "other"}
    changed = dataclasses.replace(segment, **{field: other[field]})
    with pytest.raises(BrokenChain):
        verify([changed])
    with pytest.raises(BrokenChain):
        _ = changed.payload
