"""What another edge heard, applied to our swarms in the order of receipt: the newest word on a peer holds."""

from __future__ import annotations

from collections.abc import Sequence

from domain.announces import Announce, Event
from tracker_edge.swarms import Swarms

#: Announces that are applied between two turns of the event loop.
APPLY_AT_ONCE = 250
#: How long the exact time of an announce is kept; older ones are compared by the swarms' whole seconds.
EXACT_S = 3
#: A peer that another edge heard last is expired by that edge. When nobody says so for this long, everybody does.
OTHERS_GRACE_S = 300
#: Whole seconds on both sides of a comparison.
_ROUNDING_S = 5


class Latest:
    """When peers were last heard of, in UTC microseconds, for as long as an older record of theirs may still come.

    Keys are torrent, user and peer id. Peers that left are kept for `stopped_for_s`: they are in no swarm any more.
    """

    __slots__ = ("_old", "_stopped_for_us", "stopped", "young")

    def __init__(self, stopped_for_s: int) -> None:
        self.young: dict[bytes, int] = {}
        self.stopped: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._stopped_for_us = stopped_for_s * 1_000_000

    def note(self, key: bytes, event: int, at_us: int) -> None:
        """An announce was applied."""
        if event == Event.STOPPED:
            self.stopped.pop(key, None)  # so that the order of the dictionary is that of the times
            self.stopped[key] = at_us
        else:
            self.young[key] = at_us

    def newest(self, key: bytes) -> int:
        """When the peer was last heard of; 0 when that is not known."""
        return max(self.young.get(key, 0), self._old.get(key, 0), self.stopped.get(key, 0))

    def rotate(self, now_us: int) -> None:
        """Forgets what is older than two rotations, and those who left long ago."""
        self._old, self.young = self.young, {}
        before_us = now_us - self._stopped_for_us
        while self.stopped:
            key = next(iter(self.stopped))
            if self.stopped[key] >= before_us:
                return
            del self.stopped[key]


def apply(swarms: Swarms, latest: Latest, announce: Announce, now_us: int, now_s: int, peer_ttl_s: int) -> bool:
    """Applies another edge's record unless something newer is known of the peer; returns whether it was applied."""
    at_us, user_id, torrent_id, peer_id, event, _, _, left, address, port, _ = announce
    key = torrent_id + user_id + peer_id
    newest_us = latest.newest(key)
    if newest_us > at_us:
        return False
    ago_s = max(0, (now_us - at_us) // 1_000_000)
    at_s = max(1, now_s - ago_s)
    swarm = swarms.swarm(torrent_id)
    user = swarms.user(user_id)
    seen = swarms.last_seen(swarm, user, peer_id)
    if seen is None:
        if event in (Event.STOPPED, Event.EXPIRED):
            latest.note(key, Event.STOPPED, at_us)  # it may have left before its older announces come
            return False
        if ago_s > peer_ttl_s:
            return False
    elif not newest_us and seen.at_s > at_s:
        return False
    elif event == Event.EXPIRED and not seen.elsewhere and at_s - seen.at_s < peer_ttl_s - _ROUNDING_S:
        return False  # it spoke to us when it was silent elsewhere
    swarms.announce(swarm, user, peer_id, event, left, address, port, at_s, elsewhere=True)
    latest.note(key, Event.STOPPED if event == Event.EXPIRED else event, at_us)
    return True


def slices(records: Sequence[Announce]) -> list[Sequence[Announce]]:
    """The records in portions that the event loop can take between other work."""
    return [records[start : start + APPLY_AT_ONCE] for start in range(0, len(records), APPLY_AT_ONCE)]
