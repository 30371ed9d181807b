"""What operators do to read tables: nothing that a rule forbids, and nothing that history may not know."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created


class Action(StrEnum):
    """What somebody asked for. The value is stored in events and shown by the audit log."""

    REBUILD = "rebuild"
    VERIFY = "verify"
    PAST = "past"  # tables as of a position, in a schema of their own
    DROP_PAST = "drop_past"
    REBUILD_STREAM = "rebuild_stream"  # the rows of one stream
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    ROLL_BACK = "roll_back"
    DROP_STANDBY = "drop_standby"


class Intervention(Aggregate):
    """One thing that an operator did to the tables of projections."""

    TOPIC = "intervention"

    class Made(Created):
        """An operator did this to the tables of these projections; the rest is null where it means nothing."""

        TOPIC = "intervention.made"
        action: str
        projections: list[str]
        stream_id: UUID | None
        schema: str | None
        upto: int | None

    @classmethod
    def make(
        cls,
        intervention_id: UUID,
        action: Action,
        projections: list[str],
        *,
        stream_id: UUID | None = None,
        schema: str | None = None,
        upto: int | None = None,
    ) -> Intervention:
        """`upto` is the position that tables of the past are of."""
        return cls._create(
            cls.Made,
            id=intervention_id,
            action=action.value,
            projections=projections,
            stream_id=stream_id,
            schema=schema,
            upto=upto,
        )

    def __init__(
        self, action: str, projections: list[str], stream_id: UUID | None, schema: str | None, upto: int | None
    ) -> None:
        self.action = action
        self.projections = projections
        self.stream_id = stream_id
        self.schema = schema
        self.upto = upto
