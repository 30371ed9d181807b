"""Is my account parked?"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, ReadDb

router = APIRouter(prefix="/api/v1/users/me", tags=["users"], route_class=StrictRoute)


class OwnParking(BaseModel):
    """`parked_at` is null for an account that is not parked."""

    parked_at: datetime | None


@router.get("/parking", dependencies=[fresh("parking")])
def get_own_parking(caller: AccountOwner, db: ReadDb) -> OwnParking:
    """Whether, and since when, the caller's account is parked."""
    row = db.execute("SELECT parked_at FROM parked_account WHERE user_id = %s", (caller.user_id,)).fetchone()
    return OwnParking(parked_at=row[0] if row else None)
