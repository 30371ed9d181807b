"""An aggregate without personal text, and a log: their streams may grow long."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event


class Tally(Aggregate):
    TOPIC = "tally"

    class Begun(Created):
        TOPIC = "tally.begun"

    class Added(Aggregate.Event):
        TOPIC = "tally.added"
        number: int

    @classmethod
    def begin(cls, tally_id: UUID) -> Tally:
        return cls._create(cls.Begun, id=tally_id)

    def __init__(self) -> None:
        self.total = 0
        self.highest: dict[UUID, int] = {}

    def add(self, number: int) -> None:
        self._added(number)

    @event(Added)
    def _added(self, number: int) -> None:
        self.total += number
        self.highest[self.id] = max(number, self.highest.get(self.id, 0))


class Log(Aggregate):
    TOPIC = "log"

    class Written(Aggregate.Event):
        TOPIC = "log.written"


TALLY_EVENTS = (Tally.Begun, Tally.Added, Log.Written)
