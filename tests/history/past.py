"""What the parts of the history share: the site, two members, a torrent of each, and how facts are saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from domain.base import SYSTEM, Aggregate
from domain.torrents import Torrent
from domain.users import User
from runtime.platform import Platform
from runtime.store import A

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Past:
    """`torrents` are of `users`, in the same order."""

    platform: Platform
    users: list[User] = field(default_factory=list)
    torrents: list[Torrent] = field(default_factory=list)

    @property
    def with_others(self) -> Iterator[tuple[User, User, Torrent]]:
        """Each member, with the other one and the torrent that the other one uploaded."""
        return zip(self.users, self.users[::-1], self.torrents[::-1], strict=True)

    def get(self, kind: type[A], aggregate_id: UUID) -> A:
        return self.platform.store(SYSTEM).get(kind, aggregate_id)

    def find(self, kind: type[A], aggregate_id: UUID) -> A | None:
        return self.platform.store(SYSTEM).find(kind, aggregate_id)

    def save(self, *aggregates: Aggregate, actor: UUID = SYSTEM) -> None:
        self.platform.store(actor, "seed").save(*aggregates)
