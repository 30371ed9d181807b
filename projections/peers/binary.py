"""Rows as PostgreSQL's binary COPY takes them: packed in one call each, which costs a tenth of arrays of text.

Each row is its number of fields, then per field the length and the bytes (-1 for null); network order throughout.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from domain.base import MAX_COUNT
from domain.tally import Client, Hour, Key, TorrentDelta, Transfer, UserDelta

#: PostgreSQL counts microseconds from 2000-01-01.
EPOCH_US = 946_684_800_000_000

_NULL = (-1).to_bytes(4, "big", signed=True)

_new_client = Struct(">hi16si16si20siq").pack
_known_client = Struct(">hi6si?").pack
_session = Struct(">iqiqiqiqiqi?iqiqiqiqiq").pack
_time = Struct(">iq").pack
_family4, _family6 = Struct(">i4sii").pack, Struct(">i16sii").pack
_NO_ADDRESS = 2 * _NULL


#: Two timestamps one after the other, as PostgreSQL sends them.
two_times = Struct(">qq").unpack


def new_client(key: Key, client: Client) -> bytes:
    """torrent_id, user_id, peer_id, first_announced_at, then as `_moved`."""
    torrent_id, user_id, peer_id = key
    assert client.first_announced_us is not None
    first = client.first_announced_us - EPOCH_US
    return _new_client(20, 16, torrent_id, 16, user_id, 20, peer_id, 8, first) + _moved(client)


def known_client(place: bytes, client: Client) -> bytes:
    """Where the row is, whether its addresses are void, then as `_moved`."""
    return _known_client(18, 6, place, 1, client.moved_out) + _moved(client)


def _moved(client: Client) -> bytes:
    """uploaded, downloaded, high_uploaded, high_downloaded, remaining, active, moved_at, last_announced_at,
    credited_uploaded, credited_downloaded, seed_time_s, seeded_until, ipv4, port4, ipv6, port6"""
    up, down, high_up, high_down, left, active, moved_us, announced_us = client.session
    until_us = client.seeded_until_us
    return b"".join(
        (
            _session(
                8, up, 8, down, 8, high_up, 8, high_down, 8, left, 1, active, 8, moved_us - EPOCH_US,
                8, announced_us - EPOCH_US, 8, client.uploaded, 8, client.downloaded, 8, client.seed_time_s,
            ),
            _NULL if until_us is None else _time(8, until_us - EPOCH_US),
            _NO_ADDRESS if client.ipv4 is None else _family4(4, client.ipv4, 4, client.port4),
            _NO_ADDRESS if client.ipv6 is None else _family6(16, client.ipv6, 4, client.port6),
        )
    )  # fmt: skip


class Place:
    """Where a segment stands: the position of its fact, its edge and its number there."""

    __slots__ = ("_edge_id", "_pack", "_position", "_seq")

    def __init__(self, position: int, edge_id: str, seq: int) -> None:
        self._position, self._edge_id, self._seq = position, edge_id.encode(), seq
        self._pack = Struct(f">hi16siqiqiii{len(self._edge_id)}si16si20siqiqiqiqiqiqiqiiiiiqiqiq").pack

    def transfer(self, transfer: Transfer) -> bytes:
        """user_id, position, seq, n, edge_id, torrent_id, peer_id, at, client_uploaded, client_downloaded,
        baseline_uploaded, baseline_downloaded, raw_uploaded, raw_downloaded, upload_percent, download_percent,
        uploaded, downloaded, seed_time_s, anomaly"""
        _, n, announce, credit, seed_time_s = transfer
        at_us, user_id, torrent_id, peer_id, _, client_up, client_down, *_ = announce
        base_up, base_down, raw_up, raw_down, up_percent, down_percent, up, down, _, _, anomaly = credit
        row = self._pack(
            20, 16, user_id, 8, self._position, 8, self._seq, 4, n, len(self._edge_id), self._edge_id, 16, torrent_id,
            20, peer_id, 8, at_us - EPOCH_US, 8, client_up, 8, client_down, 8, base_up, 8, base_down, 8, raw_up,
            8, raw_down, 4, up_percent, 4, down_percent, 8, up, 8, down, 8, seed_time_s,
        )  # fmt: skip
        return row + (_NULL if anomaly is None else _text(anomaly))


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(4, "big") + text.encode()


_user = Struct(">hi16s" + 10 * "iq").pack
_torrent = Struct(">hi16s" + 5 * "iq").pack
_user_period = Struct(">hi16siq" + 8 * "iq").pack
_hour = Struct(">hi16siq" + 5 * "iq").pack
_first_of_hour = Struct(">hi16siqiiii" + 3 * "iq").pack


def user(user_id: bytes, user: UserDelta) -> bytes:
    """user_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seed_time_s, seeding, leeching, seed_size, snatched,
    torrents"""
    return _user(
        11, 16, user_id, 8, min(user.uploaded, MAX_COUNT), 8, min(user.downloaded, MAX_COUNT),
        8, min(user.raw_uploaded, MAX_COUNT), 8, min(user.raw_downloaded, MAX_COUNT), 8, user.seed_time_s,
        8, user.seeding, 8, user.leeching, 8, user.seed_size, 8, user.snatched, 8, user.torrents,
    )  # fmt: skip


def torrent(torrent_id: bytes, torrent: TorrentDelta) -> bytes:
    """torrent_id, uploaded, downloaded, seeders, leechers, completed"""
    return _torrent(
        6, 16, torrent_id, 8, min(torrent.uploaded, MAX_COUNT), 8, min(torrent.downloaded, MAX_COUNT),
        8, torrent.seeders, 8, torrent.leechers, 8, torrent.completed,
    )  # fmt: skip


def user_period(user_id: bytes, at_us: int, user: UserDelta) -> bytes:
    """user_id, at, uploaded, downloaded, seed_time_s, seeding, leeching, seed_size, snatched, torrents"""
    return _user_period(
        10, 16, user_id, 8, at_us - EPOCH_US, 8, min(user.uploaded, MAX_COUNT), 8, min(user.downloaded, MAX_COUNT),
        8, user.seed_time_s, 8, user.seeding, 8, user.leeching, 8, user.seed_size, 8, user.snatched, 8, user.torrents,
    )  # fmt: skip


def hour(torrent_id: bytes, hour_us: int, hour: Hour) -> bytes:
    """torrent_id, hour, seeders, leechers, completed, uploaded, downloaded"""
    return _hour(
        7, 16, torrent_id, 8, hour_us - EPOCH_US, 8, hour.seeders, 8, hour.leechers, 8, hour.completed,
        8, min(hour.uploaded, MAX_COUNT), 8, min(hour.downloaded, MAX_COUNT),
    )  # fmt: skip


def first_of_hour(torrent_id: bytes, hour_us: int, hour: Hour, seeders: int, leechers: int) -> bytes:
    """The same as a row of `torrent_history`, over a swarm of so many before."""
    return _first_of_hour(
        7, 16, torrent_id, 8, hour_us - EPOCH_US, 4, seeders + hour.seeders, 4, leechers + hour.leechers,
        8, hour.completed, 8, min(hour.uploaded, MAX_COUNT), 8, min(hour.downloaded, MAX_COUNT),
    )  # fmt: skip


def hexes(values: Iterable[bytes]) -> str:
    """The text of an array of ids, or of bytes for `decode(…, 'hex')`."""
    return "{" + ",".join(map(bytes.hex, values)) + "}"
