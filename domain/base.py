"""What every aggregate and every event is made of: the one place in the domain that knows the library.

An event is a frozen dataclass nested in its aggregate, with an explicit `TOPIC` that outlives every module path. A
public method of an aggregate decides (checks rules, then calls); a private method decorated with `@event(X)` applies
(assigns, nothing else), because it runs again on every replay.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol
from uuid import UUID, uuid5

from eventsourcing.domain import BaseAggregate, CanInitAggregate, CanMutateAggregate, DomainEvent, event

__all__ = ["ERASED", "MAX_COUNT", "SITE", "SYSTEM", "Aggregate", "Created", "Personal", "event", "natural_id"]

#: Counters, sizes and points stay within a signed 64-bit integer, what PostgreSQL's bigint holds.
MAX_COUNT = 2**63 - 1

#: Namespace of every id that is computed from a natural key.
SITE = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00")

#: The actor of what nobody asked for: policies, schedules, default data.
SYSTEM = UUID("00000000-0000-7000-8000-000000000001")


class _PersonalData:
    """Marks a field whose value is encrypted in the store under the data key of the person in `SUBJECT`."""


PERSONAL = _PersonalData()

#: What personal text reads as once its person's data key is destroyed.
ERASED = "erased"

#: Text that names or traces a person (name, e-mail, address, private words): ciphertext in the event store, and the
#: constant `ERASED` once the person's data key is destroyed.
Personal = Annotated[str, PERSONAL]


def natural_id(kind: str, key: str) -> UUID:
    """The id of the stream that a natural key names: equal keys give equal ids, on every machine."""
    return uuid5(SITE, f"{kind}:{key}")


class Aggregate(BaseAggregate[UUID]):
    """A consistency boundary: one stream of events, decided one at a time. `TOPIC` names it in stored history."""

    TOPIC: ClassVar[str]

    class Event(CanMutateAggregate[UUID], DomainEvent):
        """A fact. `SUBJECT` names the field with the id of the person whose data its `Personal` fields are."""

        TOPIC: ClassVar[str]
        SUBJECT: ClassVar[str] = "originator_id"


class Created(CanInitAggregate[UUID], Aggregate.Event):
    """The first fact of a stream; its fields are the arguments of the aggregate's `__init__`."""

    originator_topic: str


class HasId(Protocol):
    """Anything with an id: what rules ask of a neighbour when only its identity matters."""

    @property
    def id(self) -> UUID: ...
