"""Who the members are: when they are awake, what line and which program they have, what they may do."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from domain.bans import TAKES, BanKind
from runtime.demo.past import DAY_US, HOUR_US
from runtime.http.deps import Caller
from runtime.store import NOBODY

#: Programs by how many use them, and what their releases call themselves in peer ids (BEP 20), oldest first.
PROGRAMS: tuple[tuple[int, tuple[bytes, ...]], ...] = (
    (58, (b"-qB4550-", b"-qB4670-", b"-qB5010-", b"-qB5040-", b"-qB5100-", b"-qB5120-")),
    (18, (b"-TR3000-", b"-TR4050-", b"-TR4060-", b"-TR4100-")),
    (10, (b"-DE2050-", b"-DE2110-", b"-DE2200-")),
    (8, (b"-lt0D80-", b"-lt0F00-", b"-lt0F80-")),
    (6, (b"-UT3550-", b"-UT3600-")),
)
SEEDBOXES = 0.06
CHEATERS = 0.006
IPV6 = 0.22
_MIB = 2**20


@dataclass(slots=True)
class Rank:
    """What a group is: its slug, level and permissions."""

    slug: str
    level: int
    permissions: frozenset[str]


@dataclass(slots=True, eq=False)
class Member:
    """One account and the person with it; speeds are bytes a second, hours are UTC."""

    id: UUID
    name: str
    rank: Rank
    joined_us: int
    versions: tuple[bytes, ...]
    lag: float  # how far behind the newest version, as a part of all that there are
    address: bytes
    port: int
    down: int
    up: int
    wakes_at_h: float
    awake_h: float
    cheats: bool
    zeal: float  # how much it takes and shares, 1 on average
    enabled: bool = True
    reported: bool = False
    bans: set[BanKind] = field(default_factory=set)
    tokens: int = 0
    on: set[bytes] = field(default_factory=set)  # torrents that it has or is about to have

    @property
    def caller(self) -> Caller:
        """As the API would know the member, after its own look at groups and bans."""
        taken = frozenset(str(permission) for ban in self.bans for permission in TAKES[ban])
        permissions = self.rank.permissions - taken
        return Caller(self.id, self.name, self.rank.slug, self.rank.level, permissions, NOBODY, True, taken)

    @property
    def is_there(self) -> bool:
        """Whether it may come in at all."""
        return self.enabled and BanKind.ACCOUNT not in self.bans

    def may(self, permission: str) -> bool:
        return self.is_there and self.caller.can(permission)

    @property
    def may_leech(self) -> bool:
        return self.is_there and BanKind.DOWNLOAD not in self.bans

    def awake_at(self, at_us: int) -> int:
        """The first moment from `at_us` on at which the member's clients run."""
        since_us = (at_us - int(self.wakes_at_h * HOUR_US)) % DAY_US
        return at_us if since_us < self.awake_h * HOUR_US else at_us + DAY_US - since_us

    def asleep_at(self, at_us: int) -> int:
        """When the day ends that `at_us` is in, for a member who is awake then."""
        since_us = (at_us - int(self.wakes_at_h * HOUR_US)) % DAY_US
        return at_us - since_us + int(self.awake_h * HOUR_US)

    def peer_id(self, rng: Random, progress: float) -> bytes:
        """Of a client that starts when this part of the history is over."""
        newest = int((progress - self.lag) * len(self.versions))
        return self.versions[min(max(newest, 0), len(self.versions) - 1)] + b64encode(rng.randbytes(9))


def someone(rng: Random, user_id: UUID, name: str, rank: Rank, at_us: int) -> Member:
    """A new member like many others."""
    seedbox = rng.random() < SEEDBOXES
    programs = [versions for _, versions in PROGRAMS]
    ipv6 = rng.random() < IPV6
    return Member(
        id=user_id,
        name=name,
        rank=rank,
        joined_us=at_us,
        versions=rng.choices(programs, [share for share, _ in PROGRAMS])[0],
        lag=rng.random() * 0.6,
        # documentation prefixes (RFC 5737, RFC 3849): nobody has these addresses
        address=b"\x20\x01\x0d\xb8" + rng.randbytes(12) if ipv6 else rng.choice(_NETWORKS) + rng.randbytes(1),
        port=rng.randint(10_000, 60_000),
        down=int((60 if seedbox else 4) * _MIB * rng.lognormvariate(0, 0.6)),
        up=int((60 if seedbox else 1.2) * _MIB * rng.lognormvariate(0, 0.6)),
        wakes_at_h=rng.gauss(15, 3.5) % 24,
        awake_h=24.0 if seedbox else min(24.0, max(2.0, rng.gauss(9, 4))),
        cheats=rng.random() < CHEATERS,
        zeal=rng.lognormvariate(-0.32, 0.8),
    )


_NETWORKS = (b"\xc0\x00\x02", b"\xc6\x33\x64", b"\xcb\x00\x71")
