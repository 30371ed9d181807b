"""What members do with their own accounts when they go away and come back."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from domain.parking import AccountParked, Parking, parking_id
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, StoreDep
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/users/me", tags=["users"], route_class=CommandRoute)


@router.post("/park")
def park(caller: AccountOwner, store: StoreDep) -> Receipt:
    """Park the caller's account: its announces are refused within a second, and it invites nobody, until it is
    unparked."""
    parking = _parking(store, caller.user_id)
    parking.park()
    return store.save(parking)


@router.post("/unpark")
def unpark(caller: AccountOwner, store: StoreDep) -> Receipt:
    """Use the account again."""
    parking = _parking(store, caller.user_id)
    parking.unpark()
    return store.save(parking)


def must_not_be_parked(store: Store, user_id: UUID) -> None:
    """Raises `AccountParked`."""
    parking = store.find(Parking, parking_id(user_id))
    if parking is not None and parking.parked:
        raise AccountParked("your account is parked: unpark it first")


def _parking(store: Store, user_id: UUID) -> Parking:
    return store.find(Parking, parking_id(user_id)) or Parking.open(user_id)
