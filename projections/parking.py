"""Which accounts are parked, and since when."""

from __future__ import annotations

from domain.parking import Parking
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

parking = Projection("parking", "parked_account")


@parking.on(Parking.Parked)
def parked(fact: Fact[Parking.Parked], db: Writer) -> None:
    db.execute("INSERT INTO parked_account (user_id, parked_at) VALUES (%s, %s)", (fact.event.user_id, fact.at))


@parking.on(Parking.Unparked)
def unparked(fact: Fact[Parking.Unparked], db: Writer) -> None:
    db.update("DELETE FROM parked_account WHERE user_id = %s", (fact.event.user_id,))
