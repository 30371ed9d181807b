"""Exports: that a person asked for everything the site has about them, and got it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict

#: How long an archive can be fetched.
ARCHIVE_LIFE = timedelta(days=3)


class ExportUnderWay(Conflict):
    """The last archive that was asked for is still being put together."""


class Export(Aggregate):
    """Everything about one person, as often as the person asks for it."""

    TOPIC = "export"

    class Opened(Created):
        """Somebody asks for the first time."""

        TOPIC = "export.opened"
        user_id: UUID

    class Requested(Aggregate.Event):
        """A worker puts an archive together from here on."""

        TOPIC = "export.requested"
        user_id: UUID

    class Built(Aggregate.Event):
        """The archive can be fetched; it takes the place of the one before."""

        TOPIC = "export.built"
        user_id: UUID
        until: datetime  # deleted then
        size: int  # bytes

    @classmethod
    def open(cls, user_id: UUID) -> Export:
        return cls._create(cls.Opened, id=export_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.under_way = False

    def request(self) -> None:
        """Raises `ExportUnderWay`."""
        if self.under_way:
            raise ExportUnderWay("the archive is being put together")
        self._requested(self.user_id)

    def built(self, size: int, *, now: datetime) -> None:
        """Record that the archive is there; nothing happens to one that nobody waits for."""
        if self.under_way:
            self._built(self.user_id, now + ARCHIVE_LIFE, size)

    @event(Requested)
    def _requested(self, user_id: UUID) -> None:
        self.under_way = True

    @event(Built)
    def _built(self, user_id: UUID, until: datetime, size: int) -> None:
        self.under_way = False


def export_id(user_id: UUID) -> UUID:
    """The stream of a person's exports."""
    return natural_id("export", str(user_id))
