"""What is done with announce rules: changing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.announce_rules import (
    ANNOUNCE_RULES,
    NO_RATIO_RULE,
    PEERS_PER_TORRENT_MAX,
    RATIO_COUNTS_FROM_BYTES_MAX,
    REFUSED_PORTS_MAX,
    REQUIRED_RATIO_PERCENT_MAX,
    AnnounceRules,
    RatioRule,
)
from domain.permissions import Permission
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt, VersionConflict

router = APIRouter(prefix="/api/v1/tracker/announce-rules", tags=["tracker"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]


class ChangeAnnounceRules(Command):
    """All of the rules; ports below 1024 are refused in any case. What is left out of the ratio rule stays as it is, so
    that no program that does not know of it switches it off."""

    refused_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(max_length=REFUSED_PORTS_MAX)
    peers_per_torrent: int = Field(ge=1, le=PEERS_PER_TORRENT_MAX, description="clients of one user that get peers")
    required_ratio_percent: int | None = Field(
        None, ge=0, le=REQUIRED_RATIO_PERCENT_MAX, description="uploaded / downloaded in percent; 0 for no rule"
    )
    ratio_counts_from_bytes: int | None = Field(
        None, ge=0, le=RATIO_COUNTS_FROM_BYTES_MAX, description="who has downloaded less is left alone"
    )

    def ratio(self, before: RatioRule) -> RatioRule:
        percent, from_bytes = self.required_ratio_percent, self.ratio_counts_from_bytes
        return RatioRule(
            before.required_percent if percent is None else percent,
            before.counts_from_bytes if from_bytes is None else from_bytes,
        )


@router.put("")
def change_announce_rules(command: ChangeAnnounceRules, staff: Manager, store: StoreDep) -> Receipt:
    """Set which ports nobody announces from, how many clients of a user a torrent takes, and which ratio is required:
    who falls below it may seed, and may not download until it is reached again."""
    if store.find(AnnounceRules, ANNOUNCE_RULES) is None:
        if store.expected_version is not None:
            raise VersionConflict("the rules are the defaults, which have no version")
        ratio = command.ratio(NO_RATIO_RULE)
        return store.save(AnnounceRules.lay_down(command.refused_ports, command.peers_per_torrent, ratio))
    rules = store.edit(AnnounceRules, ANNOUNCE_RULES)
    rules.change(command.refused_ports, command.peers_per_torrent, command.ratio(rules.ratio))
    return store.save(rules)
