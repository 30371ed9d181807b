"""What is done with the keys that travel in URLs: ending all that there are of a kind, and beginning anew."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from fastapi import APIRouter

from domain.announce_keys import announce_key
from domain.base import Aggregate
from domain.feed_keys import FeedKey, feed_key, feed_key_id
from domain.key_resets import check_resets
from domain.users import User
from runtime.facts import FactLog
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Clock, SecretsDep, SettingsDep, StoreDep
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/users/me", tags=["users"], route_class=CommandRoute)


class NewPasskey(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"passkey", "announce_urls"})

    passkey: str | None
    announce_urls: list[str] | None


class NewRssKey(Receipt):
    WITHHELD: ClassVar[frozenset[str]] = frozenset({"rss_key"})

    rss_key: str | None


@router.post("/passkey/reset")
def reset_passkey(
    caller: AccountOwner, store: StoreDep, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> NewPasskey:
    """End all of the caller's announce keys. The new one is shown here, and at any time in `/users/me/passkey`."""
    user = store.edit(User, caller.user_id)
    check_resets(_resets(store, user.id, User.PasskeyReset), now=now)
    user.reset_passkey()
    key = announce_key(secrets.site, user.id, user.passkey_no, None)
    urls = [f"{settings.edge.base_url}/announce/{key}"]
    return store.save(user, answer=NewPasskey, passkey=key, announce_urls=urls)


@router.post("/rss-key/reset")
def reset_rss_key(caller: AccountOwner, store: StoreDep, secrets: SecretsDep, now: Clock) -> NewRssKey:
    """End the caller's feed key and every link in feeds that were read with it."""
    kept = store.find(FeedKey, feed_key_id(caller.user_id))
    check_resets(_resets(store, feed_key_id(caller.user_id), FeedKey.Reset), now=now)
    if kept is None:
        kept = FeedKey.first_reset(caller.user_id)
    else:
        kept.reset()
    key = feed_key(secrets.site, caller.user_id, kept.key_no)
    return store.save(kept, answer=NewRssKey, rss_key=key)


def _resets(store: Store, stream_id: UUID, kind: type[Aggregate.Event]) -> list[datetime]:
    """When each was made; a reset at the same moment conflicts with this one, as both are of one stream."""
    return [fact.at for fact in FactLog(store.history).stream(stream_id) if isinstance(fact.event, kind)]
