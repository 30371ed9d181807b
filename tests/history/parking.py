"""An account is parked, unparked, and parked again."""

from __future__ import annotations

from domain.parking import Parking
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        parking = Parking.open(user.id)
        parking.park()
        parking.unpark()
        parking.park()
        past.save(parking, actor=user.id)
