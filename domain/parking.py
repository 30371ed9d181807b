"""Parked accounts: whose owner is away for a while and says so. They announce nothing and invite nobody, and are left
in peace longer than others that are not used."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import NotAllowed


class AccountParked(NotAllowed):
    """The caller has parked its account; it may unpark it at any time."""


class Parking(Aggregate):
    """Whether one user's account is parked; the stream begins with the first time."""

    TOPIC = "parking"

    class Opened(Created):
        TOPIC = "parking.opened"
        user_id: UUID

    class Parked(Aggregate.Event):
        """The account announces nothing and invites nobody from now on."""

        TOPIC = "parking.parked"
        user_id: UUID

    class Unparked(Aggregate.Event):
        TOPIC = "parking.unparked"
        user_id: UUID

    @classmethod
    def open(cls, user_id: UUID) -> Parking:
        return cls._create(cls.Opened, id=parking_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.parked = False

    def park(self) -> None:
        if not self.parked:
            self._parked(self.user_id)

    def unpark(self) -> None:
        if self.parked:
            self._unparked(self.user_id)

    @event(Parked)
    def _parked(self, user_id: UUID) -> None:
        self.parked = True

    @event(Unparked)
    def _unparked(self, user_id: UUID) -> None:
        self.parked = False


def parking_id(user_id: UUID) -> UUID:
    return natural_id("parking", user_id.hex)
