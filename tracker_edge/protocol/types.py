"""The vocabulary of the announce protocol, whatever carries it: what a client asks and what it is told."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from domain.errors import Conflict, DomainError, Malformed, NotAllowed, NotFound

#: Clients honour only `interval` and `min interval`, also on failures (BEP 31's `retry in` is ignored by all).
FAILURE_INTERVAL_S = 5400
TRANSIENT_INTERVAL_S = 300

#: Peers when a client does not say how many: BEP 3's customary default.
DEFAULT_NUMWANT = 50


class Query(NamedTuple):
    """One announce as the client wrote it; counters are bytes, `numwant` is -1 for "as many as you think fit"."""

    info_hash: bytes  # 20 bytes: v1, or v2 cut to 20 (BEP 52)
    peer_id: bytes  # 20 bytes
    port: int  # 0 only with `stopped`
    uploaded: int
    downloaded: int
    left: int
    event: int  # domain.announces.Event
    numwant: int
    compact: bool
    no_peer_id: bool
    key: int


class Peer(NamedTuple):
    """One peer for the long form of a peer list."""

    peer_id: bytes
    address: bytes  # 4 or 16 bytes
    port: int


class Reply(NamedTuple):
    """What a client is told after an accepted announce; `peers` and `peers6` are compact, None leaves the key out."""

    complete: int
    incomplete: int
    downloaded: int | None
    interval: int
    min_interval: int | None
    peers: bytes | list[Peer]
    peers6: bytes | None = None
    warning: bytes | None = None
    external_ip: bytes | None = None
    tracker_id: bytes | None = None
    limit: str | None = None  # the limit that keeps the peers from the client; it is told in the warning


class Counts(NamedTuple):
    """One torrent's numbers in a scrape."""

    complete: int
    downloaded: int
    incomplete: int
    downloaders: int | None = None  # BEP 21: leechers that are not partial seeds


class Refused(DomainError):
    """An announce or scrape that is not answered with peers; `str(error)` is the `failure reason`."""

    interval: ClassVar[int] = FAILURE_INTERVAL_S
    retry_in: ClassVar[int | bytes | None] = None  # minutes, or b"never" (BEP 31)


class BadQuery(Refused, Malformed):
    """The query can never be an announce."""


class NotAClient(Refused, Malformed):
    """Headers that only browsers send."""


class PasskeyNotFound(Refused, NotAllowed):
    """No present key reads like this one: unknown, reset, cut, of another torrent. One text for all of them."""


class UnregisteredTorrent(Refused, NotFound):
    """No torrent has this hash. Transmission looks for the words "unregistered torrent"."""

    retry_in = FAILURE_INTERVAL_S // 60


class TorrentDeleted(Refused, NotFound):
    """The torrent was here and will not come back."""

    retry_in = b"never"


class TorrentRejected(Refused, NotAllowed):
    """The moderators refused the torrent."""

    retry_in = b"never"


class TorrentPending(Refused, Conflict):
    """The moderators have not looked at the torrent yet."""

    interval = TRANSIENT_INTERVAL_S
    retry_in = TRANSIENT_INTERVAL_S // 60


class ClientNotAllowed(Refused, NotAllowed):
    """The site does not let this program, or this version of it, announce."""


class PortNotAllowed(Refused, Malformed):
    """The site does not take peers on this port."""


class AccountDisabled(Refused, NotAllowed):
    """The account is banned, locked or not confirmed."""


class LeechingForbidden(Refused, NotAllowed):
    """The account may seed but not download."""


class TrackerBusy(Refused, Conflict):
    """The disk does not keep up: what cannot be made durable is not taken."""

    interval = TRANSIENT_INTERVAL_S
    retry_in = TRANSIENT_INTERVAL_S // 60
