"""What is done with announce rules: changing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.announce_rules import ANNOUNCE_RULES, PEERS_PER_TORRENT_MAX, REFUSED_PORTS_MAX, AnnounceRules
from domain.permissions import Permission
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt, VersionConflict

router = APIRouter(prefix="/api/v1/tracker/announce-rules", tags=["tracker"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]


class ChangeAnnounceRules(Command):
    """All of the rules; ports below 1024 are refused in any case."""

    refused_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(max_length=REFUSED_PORTS_MAX)
    peers_per_torrent: int = Field(ge=1, le=PEERS_PER_TORRENT_MAX, description="clients of one user that get peers")


@router.put("")
def change_announce_rules(command: ChangeAnnounceRules, staff: Manager, store: StoreDep) -> Receipt:
    """Set which ports nobody announces from, and how many clients of a user a torrent takes."""
    if store.find(AnnounceRules, ANNOUNCE_RULES) is None:
        if store.expected_version is not None:
            raise VersionConflict("the rules are the defaults, which have no version")
        return store.save(AnnounceRules.lay_down(command.refused_ports, command.peers_per_torrent))
    rules = store.edit(AnnounceRules, ANNOUNCE_RULES)
    rules.change(command.refused_ports, command.peers_per_torrent)
    return store.save(rules)
