"""Whether a datagram's sender really receives at its address: connection ids (BEP 15) that are derived, not stored.

An id is the second in which it was given (32 bits) and a MAC of that second and the address (32 bits). The key follows
from the site's secret and the day, so restarts and other edges of the site accept it; the port is no part of it, since
NATs change ports. 32 bits are enough against forged addresses; who may announce is decided by the announce key.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import Final

#: BEP 15: a tracker accepts an id for two minutes, a client uses it for one.
VALID_S: Final = 120
#: How far the clocks of two edges behind one address may be apart.
SKEW_S: Final = 10
#: An id that is older but ours still proves that the address got it: uTorrent goes on with one for 5 minutes.
STALE_S: Final = 3600
#: One key a day: at any time ids are accepted under two of them at most.
EPOCH_S: Final = 86400

_MAPPED: Final = bytes(10) + b"\xff\xff"
_WRAP: Final = 2**32


class Proof(IntEnum):
    """What a connection id says about the address that sent it."""

    NONE = 0  # made up, of another address, or too old to tell
    STALE = 1  # ours, but no longer (or, after a clock was set back, not yet) valid
    VALID = 2


class ConnectionIds:
    """Gives and checks ids under the keys that follow from `secret`; keeps nothing about any client."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret if len(secret) <= 64 else sha256(secret).digest()  # blake2b takes keys of up to 64 bytes
        self._keyed: dict[int, blake2b] = {}

    def issue(self, address: bytes, now_s: int) -> bytes:
        """The 8 bytes for this address (4 or 16 bytes) at this second of the Unix time."""
        stamp = (now_s % _WRAP).to_bytes(4, "big")
        return stamp + self._mac(stamp, address, now_s)

    def check(self, connection_id: bytes, address: bytes, now_s: int) -> Proof:
        """What the 8 bytes prove at this second of the Unix time."""
        stamp = connection_id[:4]
        age_s = (now_s - int.from_bytes(stamp, "big")) % _WRAP
        if age_s > STALE_S:
            age_s -= _WRAP
            if age_s < -STALE_S:
                return Proof.NONE
        if not compare_digest(connection_id[4:], self._mac(stamp, address, now_s - age_s)):
            return Proof.NONE
        return Proof.VALID if -SKEW_S <= age_s <= VALID_S else Proof.STALE

    def _mac(self, stamp: bytes, address: bytes, at_s: int) -> bytes:
        epoch = at_s // EPOCH_S
        keyed = self._keyed.get(epoch)
        if keyed is None:
            keyed = self._key(epoch)
        mac = keyed.copy()
        mac.update(stamp + (_MAPPED + address if len(address) == 4 else address))
        return mac.digest()

    def _key(self, epoch: int) -> blake2b:
        key = blake2b(epoch.to_bytes(8, "big", signed=True), key=self._secret, person=b"connection key").digest()
        if len(self._keyed) > 2:
            self._keyed.clear()
        self._keyed[epoch] = blake2b(key=key, digest_size=4, person=b"connection id")
        return self._keyed[epoch]
