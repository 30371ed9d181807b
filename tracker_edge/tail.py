"""Reads the segments of the other edges as they are shipped, and sees when somebody else continues our own chain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from domain.announce_addresses import ReadKeys
from domain.announces import Announce, DamagedRecords, decode
from runtime.journal import BrokenChain, heads, segments

log = structlog.get_logger()

#: With segments shipped every 200 ms, a peer is known to all edges well within 500 ms.
POLL_S = 0.05
RETRY_S = 1.0

Deliver = Callable[[str, int, list[Announce], threading.Event], None]


class Tail(threading.Thread):
    """Polls the ends of all chains and hands over what came after `positions`, one segment of one edge at a time.

    `deliver` and `overtaken` are called in this thread; the next segment is read when the event given to `deliver` is
    set. `overtaken` gets the end of the own chain at each poll: it is for who wrote it to judge.
    """

    def __init__(
        self,
        url: str,
        role: str,
        edge_id: str,
        positions: Mapping[str, int],
        keys: ReadKeys,
        deliver: Deliver,
        overtaken: Callable[[int], None],
    ) -> None:
        super().__init__(name="tail", daemon=True)
        self._url = url
        self._role = role
        self._edge_id = edge_id
        self._positions = dict(positions)
        self._keys = keys
        self._deliver = deliver
        self._overtaken = overtaken
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                    connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(self._role)))
                    connection.execute("SET statement_timeout = '10s'")
                    while not self._ending.wait(POLL_S):
                        self.poll(connection)
            except Exception as error:  # a thread that ends would leave the others' peers as they are for ever
                log.warning("segments_unreadable", error=type(error).__name__)
                self._ending.wait(RETRY_S)

    def stop(self) -> None:
        """Ends the thread; returns when it has ended."""
        self._ending.set()
        self.join(timeout=5)

    def poll(self, connection: Connection[Any]) -> None:
        """Hands over what is new."""
        for head in heads(connection):
            if head.edge_id == self._edge_id:
                self._overtaken(head.seq)
            elif head.seq > self._positions.get(head.edge_id, 0):
                self._read(connection, head.edge_id)

    def _read(self, connection: Connection[Any], edge_id: str) -> None:
        for segment in segments(connection, edge_id, self._positions.get(edge_id, 0)):
            try:
                records = decode(segment.payload, self._keys)
            except (BrokenChain, DamagedRecords) as error:  # the projection halts on it; peers announce again
                log.error("segment_damaged", edge_id=edge_id, seq=segment.seq, error=str(error))
                records = []
            if not self._hand_over(edge_id, segment.seq, records):
                return
            self._positions[edge_id] = segment.seq

    def _hand_over(self, edge_id: str, seq: int, records: list[Announce]) -> bool:
        taken = threading.Event()
        self._deliver(edge_id, seq, records, taken)
        while not taken.wait(0.1):
            if self._ending.is_set():
                return False
        return True
