"""Which 32 characters open a torrent's announce to a user: derived from the site's secret, stored nowhere.

A key is the user's passkey (16 characters, the same in all of the user's torrents) and a MAC of the torrent under the
user's passkey secret (16 characters). A leaked .torrent opens one torrent; another `passkey_no` ends all keys at once.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from hmac import compare_digest
from uuid import UUID

#: RFC 4648 section 6, lower case: survives URLs, path components and clients that fold case in neither direction.
ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
HALF = 16  # characters, 5 bits each: 80 bits
KEY_LENGTH = 2 * HALF

#: One byte to one of 32 characters, each equally often.
_TEXT = ALPHABET * 8


def passkey_secret(secret: bytes, user_id: UUID, passkey_no: int) -> bytes:
    """32 bytes under which all of the user's present keys are derived; `secret` is the site's."""
    key = secret if len(secret) <= 64 else sha256(secret).digest()  # blake2b takes keys of up to 64 bytes
    message = user_id.bytes + passkey_no.to_bytes(8, "big")
    return blake2b(message, key=key, digest_size=32, person=b"passkey secret").digest()


def passkey_name(own_secret: bytes) -> bytes:
    """The 16 characters that name the passkey; `own_secret` is what `passkey_secret` gave."""
    return blake2b(key=own_secret, digest_size=HALF, person=b"passkey").digest().translate(_TEXT)


def torrent_mac(own_secret: bytes, torrent_id: bytes | None) -> bytes:
    """The 16 characters that open one torrent (its 16 UUID bytes), or every torrent for None."""
    person = b"every torrent" if torrent_id is None else b"one torrent"
    return blake2b(torrent_id or b"", key=own_secret, digest_size=HALF, person=person).digest().translate(_TEXT)


def passkey(secret: bytes, user_id: UUID, passkey_no: int) -> str:
    """The 16 characters that every key of the user begins with until the passkey is reset."""
    return passkey_name(passkey_secret(secret, user_id, passkey_no)).decode()


def announce_key(secret: bytes, user_id: UUID, passkey_no: int, torrent_id: UUID | None) -> str:
    """The 32 characters of the user's announce URL for the torrent; for None the general key, which opens all."""
    own = passkey_secret(secret, user_id, passkey_no)
    return (passkey_name(own) + torrent_mac(own, torrent_id.bytes if torrent_id else None)).decode()


def opens(mac: bytes, own_secret: bytes, torrent_id: bytes) -> bool:
    """Whether the second half of a key opens the torrent; takes the same time whatever the answer is."""
    one = compare_digest(mac, torrent_mac(own_secret, torrent_id))
    every = compare_digest(mac, torrent_mac(own_secret, None))
    return one | every


def verifies(key: str, secret: bytes, user_id: UUID, passkey_no: int, torrent_id: UUID) -> bool:
    """Whether the 32 characters are a key of this user, under the present passkey, for this torrent."""
    own = passkey_secret(secret, user_id, passkey_no)
    given = key.encode(errors="replace")
    named = compare_digest(given[:HALF], passkey_name(own))
    return named & opens(given[HALF:], own, torrent_id.bytes)
