"""Who may announce what, with which client: a snapshot of read tables, changed by their changes and never by a cache's
age."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import NamedTuple
from uuid import UUID

from domain.announce_keys import HALF, KEY_LENGTH, passkey_name, passkey_secret, torrent_mac
from domain.announce_rules import DEFAULT_PEERS_PER_TORRENT, DEFAULT_REFUSED_PORTS
from domain.client_rules import ClientRules
from tracker_edge.client_rules import ClientCheck
from tracker_edge.protocol.types import ClientNotAllowed, PasskeyNotFound
from tracker_edge.swarms import Swarm

PASSKEY_NOT_FOUND = "Passkey not found"

APPROVED = "approved"

#: Download slots of who has no limit.
NO_LIMIT = 2**31


class UserRow(NamedTuple):
    """A row of `read.announce_user`."""

    user_id: UUID
    passkey_no: int
    enabled: bool
    can_leech: bool
    changed_pos: int
    download_slots: int | None = None  # None without a limit


class TorrentRow(NamedTuple):
    """A row of `read.announce_torrent`; hashes are 20 and 32 bytes, `size` is in bytes."""

    torrent_id: UUID
    info_hash_v1: bytes | None
    info_hash_v2: bytes | None
    state: str  # pending, approved, rejected, deleted
    reason: str | None
    size: int
    changed_pos: int
    deleted_at_us: int = 0


class Rules(NamedTuple):
    """What holds for every announce; `clients` is None when every client may announce."""

    clients: ClientRules | None
    refused_ports: frozenset[int]
    peers_per_torrent: int  # clients of one user on one torrent that get peers
    position: int  # newest changed_pos of the tables of rules


class User:
    """What an announce needs to know of its user; `slots` is how many torrents it downloads at a time."""

    __slots__ = (
        "announces",
        "can_leech",
        "enabled",
        "general_mac",
        "id",
        "key",
        "minute_s",
        "passkey",
        "secret",
        "slots",
    )

    def __init__(self, row: UserRow, site_secret: bytes) -> None:
        self.id = row.user_id.bytes
        self.secret = passkey_secret(site_secret, row.user_id, row.passkey_no)
        self.passkey = passkey_name(self.secret)
        self.general_mac = torrent_mac(self.secret, None)
        self.enabled = row.enabled
        self.can_leech = row.can_leech
        self.slots = NO_LIMIT if row.download_slots is None else row.download_slots
        # What announces would look up again and again: the user's key in the swarms, and the count of this minute.
        self.key = b""
        self.announces = self.minute_s = 0

    def opens(self, mac: bytes, torrent: Torrent) -> bool:
        """As `announce_keys.opens`, with one of the two MACs made in advance."""
        every = compare_digest(mac, self.general_mac)
        return every or compare_digest(mac, torrent_mac(self.secret, torrent.id))


class Torrent:
    """What an announce needs to know of its torrent; `deleted_at_us` is 0 for one that is not deleted."""

    __slots__ = ("deleted_at_us", "hashes", "id", "reason", "size", "state", "swarm")

    def __init__(self, row: TorrentRow) -> None:
        self.id = row.torrent_id.bytes
        self.hashes = tuple(bytes(h)[:20] for h in (row.info_hash_v1, row.info_hash_v2) if h)
        self.swarm: Swarm | None = None  # once somebody has announced it
        self.state = row.state
        self.reason = row.reason
        self.size = row.size
        self.deleted_at_us = row.deleted_at_us


class Changes(NamedTuple):
    """Rows that changed, ready to be applied; `whole` replaces all users and torrents that were known. `rules` are all
    rules, or None where none of them changed."""

    users: list[User]
    torrents: list[Torrent]
    position: tuple[int, int]  # newest changed_pos of users and of torrents
    whole: bool = False
    rules: Rules | None = None


class Leaving(NamedTuple):
    """Whose peers have to go after a change."""

    users: list[bytes]
    leechers: list[bytes]
    torrents: list[bytes]


class Access:
    """The snapshot of one edge, whose users and torrents keep their places in its swarms. One thread uses it."""

    def __init__(self, site_secret: bytes) -> None:
        self.position = (-1, -1)
        self._decoy = User(UserRow(UUID(int=0), 0, False, False, 0), site_secret)
        self._users: dict[bytes, User] = {}  # by passkey
        self._user_by_id: dict[bytes, User] = {}
        self._torrents: dict[bytes, Torrent] = {}  # by 20-byte hash
        self._torrent_by_id: dict[bytes, Torrent] = {}
        self.refused_ports = frozenset(DEFAULT_REFUSED_PORTS)
        self.peers_per_torrent = DEFAULT_PEERS_PER_TORRENT
        self.has_client_rules = False
        self._clients: ClientCheck | None = None

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

    def slots(self, user_id: bytes) -> int:
        """How many torrents the user downloads at a time; one whom nobody knows yet has no limit."""
        user = self._user_by_id.get(user_id)
        return NO_LIMIT if user is None else user.slots

    def check_client(self, peer_id: bytes, agent: bytes | None) -> None:
        """Raises `ClientNotAllowed`; `agent` is None over UDP, which has none, and empty where a client sent none."""
        refusal = self._clients.refusal(peer_id, agent) if self._clients is not None else None
        if refusal is not None:
            raise ClientNotAllowed(refusal)

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
        if changes.rules is not None:
            self._apply_rules(changes.rules)
        return _leaving(changes.users, changes.torrents)

    def leaving(self) -> Leaving:
        """Everybody whose peers may not be there, for an edge that has just restored its swarms."""
        return _leaving(self._user_by_id.values(), self._torrent_by_id.values())

    def _apply_rules(self, rules: Rules) -> None:
        self.refused_ports, self.peers_per_torrent = rules.refused_ports, rules.peers_per_torrent
        self.has_client_rules = rules.clients is not None
        self._clients = None if rules.clients is None else ClientCheck(rules.clients)

    def _claim(self, info_hash: bytes, torrent: Torrent) -> None:
        holder = self._torrents.get(info_hash)
        if holder is None or holder.state == "deleted" or torrent.state != "deleted":
            self._torrents[info_hash] = torrent


def _leaving(users: Iterable[User], torrents: Iterable[Torrent]) -> Leaving:
    users = list(users)
    return Leaving(
        [user.id for user in users if not user.enabled],
        [user.id for user in users if user.enabled and not user.can_leech],
        [torrent.id for torrent in torrents if torrent.state != APPROVED],
    )


def changes(
    site_secret: bytes,
    users: Iterable[UserRow],
    torrents: Iterable[TorrentRow],
    position: tuple[int, int],
    whole: bool,
    rules: Rules | None = None,
) -> Changes:
    """Rows made ready: the derivation of keys is the costly part, and may run in another thread."""
    user_rows, torrent_rows = list(users), list(torrents)
    newest = (
        max((row.changed_pos for row in user_rows), default=position[0]),
        max((row.changed_pos for row in torrent_rows), default=position[1]),
    )
    return Changes([User(r, site_secret) for r in user_rows], [Torrent(r) for r in torrent_rows], newest, whole, rules)
