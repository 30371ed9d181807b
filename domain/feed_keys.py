"""Feed keys: what a feed reader shows in place of a sign-in. They open feeds and the .torrents in them, nothing else.

A key is derived from the site's secret, as announce keys are, and stored nowhere: whose it is, and a MAC under that
user's present number. The general key opens every feed; a link in a feed carries one that opens its torrent only.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import Any
from uuid import UUID

from domain.base import Aggregate, Created, natural_id

#: What makes a leaked key findable by its looks.
PREFIX = "rss_"
#: The number of a key that was never reset.
FIRST = 1
_KEY = re.compile(PREFIX + r"([A-Za-z0-9_-]{43})", re.ASCII)  # 16 bytes of the user's id, 16 of the MAC


class FeedKey(Aggregate):
    """The key of one user; there is one from the first day on, and an event for each reset."""

    TOPIC = "feed_key"

    class Reset(Created):
        """Every feed key and link from before is void: keys are derived from `key_no`. The first reset makes the
        stream."""

        TOPIC = "feed_key.reset"
        user_id: UUID
        key_no: int

        def mutate(self, aggregate: Any) -> Any:
            return super().mutate(None) if aggregate is None else Aggregate.Event.mutate(self, aggregate)

        def apply(self, aggregate: Any) -> None:
            aggregate.user_id, aggregate.key_no = self.user_id, self.key_no

    user_id: UUID
    key_no: int

    @classmethod
    def first_reset(cls, user_id: UUID) -> FeedKey:
        """The key that the user had from the first day on ends."""
        return cls._create(cls.Reset, id=feed_key_id(user_id), user_id=user_id, key_no=FIRST + 1)

    def __init__(self, user_id: UUID, key_no: int) -> None:
        self.user_id = user_id
        self.key_no = key_no

    def reset(self) -> None:
        self.trigger_event(self.Reset, originator_topic=self.TOPIC, user_id=self.user_id, key_no=self.key_no + 1)


def feed_key_id(user_id: UUID) -> UUID:
    return natural_id("feed_key", str(user_id))


def feed_key(secret: bytes, user_id: UUID, key_no: int, torrent_id: UUID | None = None) -> str:
    """The key that opens this torrent's link, or for None every feed and link; `secret` is the site's."""
    raw = user_id.bytes + _mac(secret, user_id, key_no, torrent_id)
    return PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode()


def named_user(key: str) -> UUID | None:
    """Whose key this claims to be; None for what cannot be one."""
    found = _KEY.fullmatch(key)
    return UUID(bytes=urlsafe_b64decode(f"{found[1]}=")[:16]) if found else None


def opens(key: str, secret: bytes, user_id: UUID, key_no: int, torrent_id: UUID | None) -> bool:
    """Whether the key opens this torrent's link, or for None every feed; takes the same time whatever the answer is."""
    every = compare_digest(key.encode(), feed_key(secret, user_id, key_no).encode())
    one = compare_digest(key.encode(), feed_key(secret, user_id, key_no, torrent_id).encode())
    return every | one


def _mac(secret: bytes, user_id: UUID, key_no: int, torrent_id: UUID | None) -> bytes:
    person = b"every feed" if torrent_id is None else b"one link"
    message = user_id.bytes + key_no.to_bytes(8, "big") + (torrent_id.bytes if torrent_id else b"")
    key = secret if len(secret) <= 64 else sha256(secret).digest()  # blake2b takes keys of up to 64 bytes
    return blake2b(message, key=key, digest_size=16, person=person).digest()
