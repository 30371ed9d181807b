"""What users choose to hide of themselves."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from domain.privacy import Level, Privacy, PrivacyKey, PrivacySettings, privacy_id
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt

router = APIRouter(prefix="/api/v1/users/me/privacy", tags=["users"], route_class=CommandRoute)

Value = Literal["shown", "hidden"]
ListOf = Literal["list", "count", "hidden"]


class ChoosePrivacy(Command):
    """All of the settings; what is left out is shown."""

    downloaded: Value = "shown"
    uploaded: Value = "shown"
    ratio: Value = "shown"
    lastseen: Value = "shown"
    requiredratio: Value = "shown"
    invitedcount: Value = "shown"
    artistsadded: Value = "shown"
    notifications: Value = "shown"
    torrentcomments: ListOf = "list"
    collages: ListOf = "list"
    collagecontribs: ListOf = "list"
    uploads: ListOf = "list"
    uniquegroups: ListOf = "list"
    perfectflacs: ListOf = "list"
    seeding: ListOf = "list"
    leeching: ListOf = "list"
    snatched: ListOf = "list"

    def settings(self) -> PrivacySettings:
        return PrivacySettings(self._keys("hidden"), self._keys("count"))

    def _keys(self, chosen: str) -> frozenset[PrivacyKey]:
        return frozenset(PrivacyKey(name) for name, value in self if value == chosen)


class PrivacyChosen(Receipt):
    """`revealed` are the things that stay shown, against the wish, because others that are shown give them away."""

    level: Level
    revealed: list[PrivacyKey]


@router.put("")
def choose_privacy(command: ChoosePrivacy, caller: AccountOwner, store: StoreDep) -> PrivacyChosen:
    """Set what others see of the caller's numbers and lists."""
    privacy = store.edit_or_open(Privacy, privacy_id(caller.user_id), lambda: Privacy.open(caller.user_id))
    wished = command.settings()
    privacy.choose(wished)
    is_, was = privacy.settings, wished
    revealed = sorted((was.hidden - is_.hidden) | (was.counted - is_.counted - is_.hidden))
    return store.save(privacy, answer=PrivacyChosen, level=is_.level, revealed=revealed)
