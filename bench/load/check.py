"""Is what was credited what the clients moved, to the byte, for every user and every torrent?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bench.load.population import Moved
from domain.announces import decode
from domain.factors import Promotions
from domain.tally import Tally
from runtime.journal import Segment, verify

Pair = tuple[bytes, bytes]  # user id, torrent id


@dataclass
class Credited:
    """What a store has credited, from how many announces; `anomalies` by name."""

    users: dict[bytes, Moved] = field(default_factory=dict)
    torrents: dict[bytes, Moved] = field(default_factory=dict)
    pairs: dict[Pair, Moved] = field(default_factory=dict)
    anomalies: Counter[str] = field(default_factory=Counter)
    announces: int = 0


def credited(segments: Sequence[Segment]) -> Credited:
    """What the credit rules make of the shipped segments; raises `BrokenChain`."""
    verify(segments)
    tally = Tally({}, frozenset())
    found = Credited()
    for segment in segments:
        tally.add(segment.seq, decode(segment.payload), Promotions())
        found.announces += segment.announces
    tally.close()
    found.users = {user: Moved(delta.uploaded, delta.downloaded) for user, delta in tally.users.items()}
    found.torrents = {torrent: Moved(delta.uploaded, delta.downloaded) for torrent, delta in tally.torrents.items()}
    for (torrent, user, _), client in tally.clients.items():
        pair = user, torrent
        found.pairs[pair] = found.pairs.get(pair, Moved(0, 0)).plus(client.uploaded, client.downloaded)
    found.anomalies.update(transfer.credit.anomaly for transfer in tally.transfers if transfer.credit.anomaly)
    return found


def differences(moved: Mapping[Pair, Moved], found: Credited) -> list[str]:
    """One line for each user, torrent and (user, torrent) whose bytes are not the clients' own; none when all are."""
    users: defaultdict[bytes, Moved] = defaultdict(lambda: Moved(0, 0))
    torrents: defaultdict[bytes, Moved] = defaultdict(lambda: Moved(0, 0))
    for (user, torrent), each in moved.items():
        users[user] = users[user].plus(*each)
        torrents[torrent] = torrents[torrent].plus(*each)
    return [
        *_compared("user", {_name(k): v for k, v in users.items()}, {_name(k): v for k, v in found.users.items()}),
        *_compared(
            "torrent", {_name(k): v for k, v in torrents.items()}, {_name(k): v for k, v in found.torrents.items()}
        ),
        *_compared(
            "user on torrent",
            {" on ".join(map(_name, k)): v for k, v in moved.items()},
            {" on ".join(map(_name, k)): v for k, v in found.pairs.items()},
        ),
    ]


def _compared(what: str, moved: Mapping[str, Moved], found: Mapping[str, Moved]) -> list[str]:
    lines, nothing = [], Moved(0, 0)
    for name in sorted({*moved, *found}):
        wanted, has = moved.get(name, nothing), found.get(name, nothing)
        if wanted != has:
            off = f"{has.uploaded - wanted.uploaded:+d} up, {has.downloaded - wanted.downloaded:+d} down"
            lines.append(f"{what} {name}: moved {wanted.uploaded} up, {wanted.downloaded} down; credited {off}")
    return lines


def _name(key: bytes) -> str:
    return str(UUID(bytes=key))
