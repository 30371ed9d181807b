"""Promotions of the whole site: staff start and end them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from commands.torrents import Promote
from domain.permissions import Permission
from domain.site_promotions import SitePromotion
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Id
from runtime.store import Receipt, new_id

router = APIRouter(prefix="/api/v1/tracker/site-promotions", tags=["tracker"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]


@router.post("", status_code=201)
def start_site_promotion(command: Promote, staff: Manager, store: StoreDep, now: Clock) -> Receipt:
    """From now on everybody's bytes on every torrent count by this, or by something better."""
    return store.save(SitePromotion.start(new_id(), command.promised, command.until, now=now))


@router.delete("/{promotion_id}")
def end_site_promotion(promotion_id: Id, staff: Manager, store: StoreDep, now: Clock) -> Receipt:
    """End a promotion early; what was counted by it stays."""
    promotion = store.edit(SitePromotion, promotion_id)
    promotion.end(now=now)
    return store.save(promotion)
