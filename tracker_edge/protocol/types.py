"""The vocabulary of the announce protocol, whatever carries it: what a client asks and what it is told."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

from domain.announces import Event
from domain.errors import Conflict, DomainError, Malformed, NotAllowed, NotFound

#: Clients honour only `interval` and `min interval`, also on failures (BEP 31's `retry in` is ignored by all).
FAILURE_INTERVAL_S = 5400
TRANSIENT_INTERVAL_S = 300

#: Peers when a client does not say how many: BEP 3's customary default.
DEFAULT_NUMWANT = 50

#: The events as plain numbers: members of an enumeration are looked up at each use.
REGULAR: Final[int] = Event.REGULAR.value
COMPLETED: Final[int] = Event.COMPLETED.value
STARTED: Final[int] = Event.STARTED.value
STOPPED: Final[int] = Event.STOPPED.value
PARTIAL_SEED: Final[int] = Event.PAUSED.value
EXPIRED: Final[int] = Event.EXPIRED.value


class Query:
    """One announce as the client wrote it; counters are bytes, `numwant` is -1 for "as many as you think fit".

    No tuple, because a class of our own is made in a tenth of the time where it is compiled.
    """

    __slots__ = (
        "compact",
        "downloaded",
        "event",
        "info_hash",
        "key",
        "left",
        "no_peer_id",
        "numwant",
        "peer_id",
        "port",
        "uploaded",
    )

    def __init__(
        self,
        info_hash: bytes,
        peer_id: bytes,
        port: int,
        uploaded: int,
        downloaded: int,
        left: int,
        event: int,
        numwant: int,
        compact: bool,
        no_peer_id: bool,
        key: int,
    ) -> None:
        self.info_hash = info_hash  # 20 bytes: v1, or v2 cut to 20 (BEP 52)
        self.peer_id = peer_id  # 20 bytes
        self.port = port  # 0 only with `stopped`
        self.uploaded = uploaded
        self.downloaded = downloaded
        self.left = left
        self.event = event  # a number of domain.announces.Event
        self.numwant = numwant
        self.compact = compact
        self.no_peer_id = no_peer_id
        self.key = key


class Peer(NamedTuple):
    """One peer for the long form of a peer list."""

    peer_id: bytes
    address: bytes  # 4 or 16 bytes
    port: int


class Reply:
    """What a client is told after an accepted announce; `peers` and `peers6` are compact, None leaves the key out."""

    __slots__ = (
        "complete",
        "downloaded",
        "external_ip",
        "incomplete",
        "interval",
        "limit",
        "min_interval",
        "peers",
        "peers6",
        "tracker_id",
        "warning",
    )

    def __init__(
        self,
        complete: int,
        incomplete: int,
        downloaded: int | None,
        interval: int,
        min_interval: int | None,
        peers: bytes | list[Peer],
        peers6: bytes | None = None,
        warning: bytes | None = None,
        external_ip: bytes | None = None,
        tracker_id: bytes | None = None,
        limit: str | None = None,
    ) -> None:
        self.complete = complete
        self.incomplete = incomplete
        self.downloaded = downloaded
        self.interval = interval
        self.min_interval = min_interval
        self.peers = peers
        self.peers6 = peers6
        self.warning = warning
        self.external_ip = external_ip
        self.tracker_id = tracker_id
        self.limit = limit  # what keeps the peers from the client; it is told in the warning


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


class RightsUnknown(Refused, Conflict):
    """Who may announce has not been known for a while: those who are there go on, nobody else is let in."""

    interval = TRANSIENT_INTERVAL_S
    retry_in = TRANSIENT_INTERVAL_S // 60


class TrackerBusy(Refused, Conflict):
    """The disk does not keep up: what cannot be made durable is not taken."""

    interval = TRANSIENT_INTERVAL_S
    retry_in = TRANSIENT_INTERVAL_S // 60
