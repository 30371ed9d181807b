"""Who may announce what: a snapshot of two read tables, changed by their changes and never by a cache's age."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import NamedTuple
from uuid import UUID

from domain.announce_keys import HALF, KEY_LENGTH, passkey_name, passkey_secret, torrent_mac
from tracker_edge.protocol.types import PasskeyNotFound

PASSKEY_NOT_FOUND = "Passkey not found"

APPROVED = "approved"


class UserRow(NamedTuple):
    """A row of `read.announce_user`."""

    user_id: UUID
    passkey_no: int
    enabled: bool
    can_leech: bool
    changed_pos: int


class TorrentRow(NamedTuple):
    """A row of `read.announce_torrent`; hashes are 20 and 32 bytes, `size` is in bytes."""

    torrent_id: UUID
    info_hash_v1: bytes | None
    info_hash_v2: bytes | None
    state: str  # pending, approved, rejected, deleted
    reason: str | None
    size: int
    changed_pos: int


class User:
    """What an announce needs to know of its user."""

    __slots__ = ("can_leech", "enabled", "general_mac", "id", "passkey", "secret")

    def __init__(self, row: UserRow, site_secret: bytes) -> None:
        self.id = row.user_id.bytes
        self.secret = passkey_secret(site_secret, row.user_id, row.passkey_no)
        self.passkey = passkey_name(self.secret)
        self.general_mac = torrent_mac(self.secret, None)
        self.enabled = row.enabled
        self.can_leech = row.can_leech

    def opens(self, mac: bytes, torrent: Torrent) -> bool:
        """As `announce_keys.opens`, with one of the two MACs made in advance."""
        one = compare_digest(mac, torrent_mac(self.secret, torrent.id))
        every = compare_digest(mac, self.general_mac)
        return one | every


class Torrent:
    """What an announce needs to know of its torrent."""

    __slots__ = ("hashes", "id", "reason", "size", "state")

    def __init__(self, row: TorrentRow) -> None:
        self.id = row.torrent_id.bytes
        self.hashes = tuple(bytes(h)[:20] for h in (row.info_hash_v1, row.info_hash_v2) if h)
        self.state = row.state
        self.reason = row.reason
        self.size = row.size


class Changes(NamedTuple):
    """Rows that changed, ready to be applied; `whole` replaces everything that was known."""

    users: list[User]
    torrents: list[Torrent]
    position: tuple[int, int]  # newest changed_pos of each table
    whole: bool = False


class Leaving(NamedTuple):
    """Whose peers have to go after a change."""

    users: list[bytes]
    leechers: list[bytes]
    torrents: list[bytes]


class Access:
    """The snapshot. It is replaced and read by one thread."""

    def __init__(self, site_secret: bytes) -> None:
        self.position = (-1, -1)
        self._decoy = User(UserRow(UUID(int=0), 0, False, False, 0), site_secret)
        self._users: dict[bytes, User] = {}  # by passkey
        self._user_by_id: dict[bytes, User] = {}
        self._torrents: dict[bytes, Torrent] = {}  # by 20-byte hash
        self._torrent_by_id: dict[bytes, Torrent] = {}

    @property
    def users(self) -> int:
        return len(self._users)

    def torrent(self, info_hash: bytes) -> Torrent | None:
        """The torrent that a v1 hash or a v2 hash cut to 20 bytes names."""
        return self._torrents.get(info_hash)

    def user(self, key: bytes, torrent: Torrent | None) -> User:
        """The user whose key this is, checked against the torrent when there is one; raises `PasskeyNotFound`.

        The work is the same for keys that are unknown, of the wrong form or another torrent's.
        """
        formed = len(key) == KEY_LENGTH
        user = self._users.get(key[:HALF], self._decoy) if formed else self._decoy
        opened = user.opens(key[HALF:], torrent) if torrent else True
        if user is self._decoy or not opened:
            raise PasskeyNotFound(PASSKEY_NOT_FOUND)
        return user

    def admits(self, user_id: bytes, torrent_id: bytes, left: int) -> bool:
        """Whether a peer of the user may be in the torrent's swarm; one whom nobody knows yet may."""
        user, torrent = self._user_by_id.get(user_id), self._torrent_by_id.get(torrent_id)
        if torrent is not None and torrent.state != APPROVED:
            return False
        return user is None or (user.enabled and (left == 0 or user.can_leech))

    def apply(self, changes: Changes) -> Leaving:
        """Takes the changes over; returns whose peers have to leave."""
        if changes.whole:
            self._users.clear()
            self._user_by_id.clear()
            self._torrents.clear()
            self._torrent_by_id.clear()
        for user in changes.users:
            before = self._user_by_id.get(user.id)
            if before is not None:
                self._users.pop(before.passkey, None)
            self._user_by_id[user.id] = user
            self._users[user.passkey] = user
        for torrent in changes.torrents:
            known = self._torrent_by_id.get(torrent.id)
            for info_hash in known.hashes if known else ():
                if self._torrents.get(info_hash) is known:
                    del self._torrents[info_hash]
            self._torrent_by_id[torrent.id] = torrent
        for torrent in changes.torrents:  # a hash may have moved from a deleted torrent to a new one
            for info_hash in torrent.hashes:
                self._claim(info_hash, torrent)
        self.position = changes.position
        return Leaving(
            [user.id for user in changes.users if not user.enabled],
            [user.id for user in changes.users if user.enabled and not user.can_leech],
            [torrent.id for torrent in changes.torrents if torrent.state != APPROVED],
        )

    def _claim(self, info_hash: bytes, torrent: Torrent) -> None:
        holder = self._torrents.get(info_hash)
        if holder is None or holder.state == "deleted" or torrent.state != "deleted":
            self._torrents[info_hash] = torrent


def changes(
    site_secret: bytes, users: Iterable[UserRow], torrents: Iterable[TorrentRow], position: tuple[int, int], whole: bool
) -> Changes:
    """Rows made ready: the derivation of keys is the costly part, and may run in another thread."""
    user_rows, torrent_rows = list(users), list(torrents)
    newest = (
        max((row.changed_pos for row in user_rows), default=position[0]),
        max((row.changed_pos for row in torrent_rows), default=position[1]),
    )
    return Changes([User(r, site_secret) for r in user_rows], [Torrent(r) for r in torrent_rows], newest, whole)
