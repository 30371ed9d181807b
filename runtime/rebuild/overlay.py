"""Other events than the log has: some left out, some added at its end; one JSON object a line.

`{"without": 1234}` leaves out the event at that position. `{"type": "torrent.approved", "stream_id": "…", "at": "…",
"data": {…}}` adds one; `actor_id` may be given, too. Added events follow the log in the order of the lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.base import SYSTEM
from runtime.facts import AnyFact, Caused, FactLog
from runtime.rebuild.errors import RebuildFailed
from runtime.store import History

#: Namespace of the ids of events and commands that never were.
WHAT_IF = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b05")


class BadOverlay(RebuildFailed):
    """A line is no event of this site, or none that can be left out."""


class Added(msgspec.Struct, forbid_unknown_fields=True):
    """An event that did not happen."""

    type: str
    stream_id: UUID
    at: datetime
    data: dict[str, Any]
    actor_id: UUID = SYSTEM


class _Left(msgspec.Struct, forbid_unknown_fields=True):
    without: int


@dataclass(frozen=True)
class Overlay:
    """What differs from the log."""

    added: Sequence[Added] = ()
    without: frozenset[int] = field(default_factory=frozenset)

    def facts(
        self, history: History, connection: Connection[Any], topics: Sequence[str] | None, after: int
    ) -> list[AnyFact]:
        """The added events of these topics, as facts that follow `after`; raises `BadOverlay`."""
        counts: Counter[UUID] = Counter()
        facts = []
        for number, added in enumerate(self.added, 1):
            counts[added.stream_id] += 1
            version = _version(history, connection, added.stream_id, after) + counts[added.stream_id]
            fact = _fact(history, added, number, after + number, version)
            if topics is None or added.type in topics:
                facts.append(fact)
        return facts


def read_overlay(lines: Iterable[bytes]) -> Overlay:
    """The overlay that these lines describe; raises `BadOverlay` with the number of the line."""
    added, without = list[Added](), set[int]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if b'"without"' in line and b'"type"' not in line:
                without.add(msgspec.json.decode(line, type=_Left).without)
            else:
                added.append(msgspec.json.decode(line, type=Added))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadOverlay(f"line {number}: {error}") from None
    return Overlay(added, frozenset(without))


def _fact(history: History, added: Added, number: int, position: int, version: int) -> AnyFact:
    data = msgspec.json.encode({**added.data, "timestamp": added.at})
    try:
        schema_version = history.codec.schema_version(added.type)
        event = history.codec.event(added.type, added.stream_id, version, data, schema_version)
    except KeyError:
        raise BadOverlay(f"event {number}: no event class has the topic {added.type!r}") from None
    except MapperDeserialisationError as error:
        raise BadOverlay(f"event {number}: {error}") from None
    unique = uuid5(WHAT_IF, str(number))
    ids = (unique, unique, unique, unique)
    return Caused(position, event, added.stream_id, version, added.type, added.actor_id, *ids, "what-if", added.at)


def _version(history: History, connection: Connection[Any], stream_id: UUID, upto: int) -> int:
    facts = FactLog(history).of_stream(connection, stream_id, upto, None)
    return facts[-1].version if facts else 0
