"""The log of what the announce edges have shipped: it gives their segments a place in the global order of facts."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, natural_id


class EdgeJournal(Aggregate):
    """One edge's journal as the store knows it: a log, nothing is decided from its state."""

    TOPIC = "edge_journal"

    class SegmentsRecorded(Aggregate.Event):
        """Segments `first_seq` to `last_seq` are in `journal.segment`; `sha256` (hex) is the last one's chain hash."""

        TOPIC = "edge_journal.segments_recorded"

        edge_id: str
        first_seq: int
        last_seq: int
        announces: int
        sha256: str

    class AddressesEncrypted(Aggregate.Event):
        """Addresses in these segments had been shipped in clear and are encrypted since; nothing else in them is other
        than before. `sha256` (hex) is the hash of the hashes that the segments have now, in order."""

        TOPIC = "edge_journal.addresses_encrypted"

        edge_id: str
        first_seq: int
        last_seq: int
        sha256: str

    @staticmethod
    def encryption_id(edge_id: str) -> UUID:
        """The stream of what was encrypted later: it is not to get in the way of shipments."""
        return natural_id("edge_journal.encryption", edge_id)

    @staticmethod
    def stream_id(edge_id: str) -> UUID:
        """The stream of the edge's journal."""
        return natural_id("edge_journal", edge_id)
