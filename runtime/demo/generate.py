"""Makes the history of a demo site: refuses a site with a life of its own, then lets the demo's take place."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from psycopg.errors import UniqueViolation

from commands.default_data import seed
from domain.base import SYSTEM
from domain.errors import Conflict, Malformed
from domain.users import User
from runtime.demo.books import Books
from runtime.demo.bulk import BulkHistory
from runtime.demo.life import Life, registrations
from runtime.demo.newcomers import Newcomers
from runtime.demo.past import SeededIds
from runtime.demo.scope import Scope
from runtime.demo.segments import Segments
from runtime.demo.site import Site
from runtime.facts import FactLog
from runtime.journal import heads
from runtime.platform import Platform
from runtime.store import VersionConflict, ids_from

#: A site with more facts about accounts has other users than sysops.
LOOKED_AT = 1000
#: Turns of the clock between two looks at the progress.
TELL_EVERY = 2000


class SiteInUse(Conflict):
    """There are users: a demo would be mixed with their history."""


class DemoTwice(Conflict):
    """The history of this seed is on the site."""


class DemoInterrupted(Conflict):
    """Somebody else changed what the demo was about to change."""


class BadScope(Malformed):
    """There is no such site."""


@dataclass(frozen=True)
class Done:
    """What was made, and how long it took. `commands_s` is the part of `seconds` that commands and commits took."""

    users: int
    torrents: int
    events: int
    segments: int
    announces: int
    journal_bytes: int
    seconds: float
    commands_s: float
    books: Books

    @property
    def events_s(self) -> float:
        return self.events / self.commands_s

    @property
    def announces_s(self) -> float:
        return self.announces / max(1e-9, self.seconds - self.commands_s)


Progress = Callable[[float, int, int], None]


def generate(
    platform: Platform,
    scope: Scope,
    password: str,
    *,
    force: bool = False,
    tell: Progress = lambda part, events, announces: None,
) -> Done:
    """Writes the history in batches, each whole; `tell(part, events, announces)` is called now and then.

    With `password` every account of the demo can sign in, administrators too: it should be nobody else's.
    Raises `SiteInUse` unless `force`, `DemoTwice`, `DemoInterrupted`, `BadScope`. What is committed stays: a history
    that was interrupted cannot be continued.
    """
    if min(scope.users, scope.torrents) < 1 or scope.start >= scope.end or scope.snatches <= 0:
        raise BadScope("a site has users and torrents, and lasts for a while")
    edge_id = f"demo-{scope.seed}"
    seed(platform.store(SYSTEM, "seed"))
    _refuse_used(platform, edge_id, force=force)
    began = time.perf_counter()
    ids, books, plans = SeededIds(f"{scope.seed} ids", scope.start_us), Books(), registrations(scope)
    with platform.pool.connection() as connection, ids_from(ids), closing(Newcomers(platform, plans, password)) as some:
        history = BulkHistory(connection, platform.keyring)
        try:
            site = Site(history, ids, books, platform.wake)
            segments = Segments(
                edge_id, lambda at_us: site.store(SYSTEM, "edge", at_us=at_us), platform.keyring.write_keys
            )
            life = Life(scope, site, some, plans, segments)
            for turn, at_us in enumerate(life.run()):
                if turn % TELL_EVERY == 0:
                    part = (at_us - scope.start_us) / (scope.end_us - scope.start_us)
                    tell(part, history.bulk.events, segments.announces)
        except (UniqueViolation, VersionConflict) as error:
            raise DemoInterrupted("somebody else changed the same thing at the same moment") from error
        finally:
            history.bulk.give_up()
    tell(1.0, history.bulk.events, segments.announces)
    return Done(
        users=len(plans),
        torrents=life.uploads,
        events=history.bulk.events,
        segments=segments.seq,
        announces=segments.announces,
        journal_bytes=segments.bytes,
        seconds=time.perf_counter() - began,
        commands_s=site.commands_s,
        books=books,
    )


def _refuse_used(platform: Platform, edge_id: str, *, force: bool) -> None:
    log = FactLog(platform.history)
    with platform.pool.connection() as connection:
        if any(head.edge_id == edge_id for head in heads(connection)):
            raise DemoTwice("the history of this seed is on the site already: take another --seed")
        topics = [User.Registered.TOPIC, User.GroupChanged.TOPIC]
        facts = log.read(connection, 0, log.safe_position(connection), topics, LOOKED_AT)
    groups = {fact.stream_id: fact.event.group for fact in facts}
    if not force and (len(facts) == LOOKED_AT or set(groups.values()) - {"sysop"}):
        raise SiteInUse("the site has users: --force mixes the demo's history with theirs")
