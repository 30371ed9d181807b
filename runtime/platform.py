"""What every role is built from: pools, keys, the event store, tokens and the way to wake followers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.base import Aggregate
from runtime.attempts import Attempts
from runtime.db import open_pool, refuse_forgetful
from runtime.event_archive.archive import EventArchive
from runtime.follow import Engine
from runtime.keyring import Sealer, StoredKeyring
from runtime.keys_database import refuse_elsewhere
from runtime.knowledge import Knowledge, lag_s
from runtime.projection import Follower
from runtime.queue import Waker, open_broker
from runtime.recorder import Metadata
from runtime.roles import APP_ROLE, AUDIT_ROLE, PROJECTOR_ROLE, QUERY_ROLE, role_url
from runtime.secrets import Secrets, ensure
from runtime.settings import Settings
from runtime.store import History, Store, unbound_metadata
from runtime.tokens import Tokens

#: A projector process runs a few followers at once, and a rebuild beside them.
PROJECTOR_CONNECTIONS = 8
#: One command of the CLI.
AUDIT_CONNECTIONS = 2
#: Keys are cached, and most requests need none.
KEYS_CONNECTIONS = 4


#: The followers whose tables say what a caller may do.
RIGHTS = ("users", "groups", "rights", "bans")


class Platform:
    """One process's hold on the site; `settings` name the servers, `kinds` are the event classes, `followers` all of
    the projections and policies that somebody may have to wake or to wait for."""

    def __init__(
        self,
        settings: Settings,
        kinds: Iterable[type[Aggregate.Event]],
        followers: Sequence[Follower] = (),
        *,
        secrets: Secrets | None = None,
    ) -> None:
        self.settings = settings
        self.followers = tuple(followers)
        self.secrets = secrets or ensure(settings)
        with ExitStack() as self._open:  # what opened is closed again when the rest does not
            self._connect(kinds)
            self._open = self._open.pop_all()

    def _connect(self, kinds: Iterable[type[Aggregate.Event]]) -> None:
        settings = self.settings
        self.pool = self._pool(settings.database.url, APP_ROLE, settings.database.max_connections)
        if settings.production:
            refuse_forgetful(self.pool)
        # A process connects as the roles that it uses: these pools have no connection until asked for one.
        size = settings.database.max_connections
        self.query_pool = self._pool(role_url(settings, QUERY_ROLE), QUERY_ROLE, size, idle=0, reading="read")
        self.projector_pool = self._pool(
            role_url(settings, PROJECTOR_ROLE), PROJECTOR_ROLE, PROJECTOR_CONNECTIONS, idle=0, derived=True
        )
        self.audit_pool = self._pool(
            role_url(settings, AUDIT_ROLE), AUDIT_ROLE, AUDIT_CONNECTIONS, idle=0, reading="es"
        )
        keys_url = settings.keys.database_url
        refuse_elsewhere(self.pool, here=not keys_url)
        self.keys_pool = self._pool(keys_url, APP_ROLE, KEYS_CONNECTIONS) if keys_url else self.pool
        if settings.production:
            refuse_forgetful(self.keys_pool)
        self.keyring = StoredKeyring(self.keys_pool, self.secrets.key_encryption)
        archive = EventArchive(settings.data_dir / "archive")
        self.history = History(self.pool, kinds, self.keyring, archive)
        self.broker = open_broker(settings.redis.url)
        self.waker = Waker(self.broker, self.topics)
        self._open.callback(self.broker.close)
        self._open.callback(self.waker.close)
        self.rights = self.knowledge(*RIGHTS)
        self.tokens = Tokens(
            self.secrets.jwt,
            previous=self.secrets.jwt_previous,
            access_s=settings.auth.access_token_s,
            session=timedelta(hours=settings.auth.jwt_expiration_hours),
            grace_s=settings.auth.refresh_grace_s,
        )

    @property
    def topics(self) -> dict[str, list[str] | None]:
        """The topics that each follower reads, None for all."""
        return {follower.name: follower.topics for follower in self.followers}

    @property
    def wake(self) -> Callable[[list[str]], None]:
        return self.waker.wake

    def knowledge(self, *followers: str) -> Knowledge:
        """How old is what these followers, as far as this platform has them, have made."""
        type_id = self.history.types.type_id
        read = {name: topics for name, topics in self.topics.items() if name in followers and topics}

        def ask(connection: Connection[Any]) -> float:
            return lag_s(connection, {name: [type_id(topic) for topic in topics] for name, topics in read.items()})

        return Knowledge(ask)

    def engine(self, attempts: Attempts | None = None) -> Engine:
        """What runs followers; `attempts` are the notes of a worker."""
        return Engine(self.history, self.projector_pool, self.wake, attempts)

    def store(self, actor_id: UUID, origin: str = "cli", *, metadata: Metadata | None = None) -> Store:
        """The store for one command that comes from no request."""
        return Store(self.history, metadata or unbound_metadata(actor_id, origin), self.wake)

    def sealer(self, purpose: str) -> Sealer:
        """Encrypts the site's own secrets; each purpose has a key of its own."""
        return Sealer(self.secrets.key_encryption, purpose)

    def site_key(self, purpose: str) -> bytes:
        """A key of 32 bytes derived from the site secret, for MACs and for claims on personal keys."""
        return hmac.digest(self.secrets.site, purpose.encode(), hashlib.sha256)

    def close(self) -> None:
        """Give back every connection and stop the waker's thread."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pool(self, url: str, role: str, size: int, **how: Any) -> ConnectionPool[Connection[Any]]:
        pool = open_pool(url, role, size, **how)
        self._open.callback(pool.close)
        return pool
