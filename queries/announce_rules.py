"""From which ports does nobody announce, how many clients of a user does a torrent take, which ratio is required?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.announce_rules import ANNOUNCE_RULES, DEFAULT_PEERS_PER_TORRENT, DEFAULT_REFUSED_PORTS, NO_RATIO_RULE
from domain.permissions import Permission
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires

router = APIRouter(prefix="/api/v1/tracker/announce-rules", tags=["tracker"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]


class AnnounceRulesShown(BaseModel):
    """The rules in force; `version` is for If-Match, and 0 while they are the defaults. A required ratio of 0 % is no
    rule."""

    refused_ports: list[int]
    peers_per_torrent: int
    required_ratio_percent: int
    ratio_counts_from_bytes: int
    version: int


@router.get("", dependencies=[fresh("announce_access")])
def show_announce_rules(staff: Manager, db: ReadDb) -> AnnounceRulesShown:
    """Ports below 1024 are refused in any case."""
    with db.cursor(row_factory=class_row(AnnounceRulesShown)) as cursor:
        found = cursor.execute(
            "SELECT refused_ports, peers_per_torrent, required_ratio_percent, ratio_counts_from_bytes, version"
            " FROM announce_rules WHERE rules_id = %s",
            (ANNOUNCE_RULES,),
        ).fetchone()
    return found or AnnounceRulesShown(
        refused_ports=list(DEFAULT_REFUSED_PORTS),
        peers_per_torrent=DEFAULT_PEERS_PER_TORRENT,
        required_ratio_percent=NO_RATIO_RULE.required_percent,
        ratio_counts_from_bytes=NO_RATIO_RULE.counts_from_bytes,
        version=0,
    )
