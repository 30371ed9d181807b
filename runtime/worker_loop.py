"""How a worker process runs followers: when a message says so, and every 250 ms without being told."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dramatiq
import structlog
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from runtime import partitions
from runtime.api_keys import forget_expired_keys
from runtime.attempts import Attempts
from runtime.dead_letters import counts
from runtime.email_tokens import forget_old_tokens
from runtime.follow import Engine, Step
from runtime.heartbeat import BEAT_S, beat
from runtime.login_defence import forget_guesses
from runtime.mail_bounds import forget_mailboxes
from runtime.platform import Platform
from runtime.projection import Follower
from runtime.queue import ACTOR, QUEUE, WAKE_KEY, open_broker
from runtime.rebuild.sample import Drift, drifts
from runtime.telemetry import (
    DB_POOL,
    DEAD_LETTERS,
    PROJECTION_CHECKED,
    PROJECTION_DRIFT,
    PROJECTION_LAG_EVENTS,
    PROJECTION_LAG_SECONDS,
    PROJECTION_STATE,
)
from runtime.tokens import forget_ended_sessions

THREADS = 4
#: How often the queue is looked at though no bell rang.
WORKER_TIMEOUT_MS = 250
TICK_S = 0.25
RETRY_HALTED_S = 5.0
UPKEEP_S = 3600.0
STOP_S = 4.0
#: A turn takes milliseconds, and those with upkeep as long as its statements may.
TURN_MAX_S = 120.0
#: Partitions of the journal are made this many days ahead.
PARTITIONS_AHEAD = 3
STATES = ("running", "halted", "waiting", "paused")
#: How often a woken runner looks again while another one holds the follower: the holder may have read already.
TAKEN_LOOKS = 3
TAKEN_PAUSE_S = 0.01

_STANDS = """
SELECT f.name, f.position, CASE WHEN s.paused_at IS NULL THEN f.state ELSE 'paused' END,
       coalesce(extract(epoch FROM clock_timestamp() - (
         SELECT e.recorded_at FROM es.event e WHERE e.position > f.position ORDER BY e.position LIMIT 1)), 0)
FROM es.follower f LEFT JOIN es.follower_setting s USING (name)
"""

log = structlog.get_logger()


class UnknownFollower(Exception):
    """A message names a follower that this worker does not have."""


class WorkerLoop:
    """The threads of one worker process. `upkeep` runs at the start and every hour."""

    def __init__(
        self, platform: Platform, followers: Sequence[Follower], upkeep: Sequence[Callable[[], None]] = ()
    ) -> None:
        self._platform = platform
        self._followers = {follower.name: follower for follower in followers}
        self._upkeep = [self._maintain, *upkeep]
        self._engine: Engine = platform.engine(Attempts(platform.projector_pool))
        self._broker = open_broker(platform.settings.redis.url)
        self._stopping = threading.Event()
        self._running: set[str] = set()
        self._turned_at = time.monotonic()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="follow")
        self._tick = threading.Thread(target=self._tick_until_stopped, name="tick", daemon=True)
        self._worker = dramatiq.Worker(
            self._broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=THREADS, queues={QUEUE}
        )

    def start(self) -> None:
        declare = dramatiq.actor(
            actor_name=ACTOR, queue_name=QUEUE, broker=self._broker, throws=(UnknownFollower, TypeError)
        )
        declare(self.follow)
        self._worker.start()
        self._tick.start()

    @property
    def turns(self) -> bool:
        """Whether it has looked after its followers lately."""
        return time.monotonic() - self._turned_at < TURN_MAX_S

    def stop(self) -> None:
        """Finish the transactions at hand and end within about five seconds."""
        self._stopping.set()
        self._engine.stop()
        self._worker.stop(timeout=int(STOP_S * 1000))
        self._tick.join(STOP_S)
        self._threads.shutdown(cancel_futures=True)
        self._broker.close()

    def follow(self, name: str) -> None:
        """The actor: run one follower until nothing is left."""
        if not isinstance(name, str) or name not in self._followers:
            raise UnknownFollower
        self._broker.client.delete(WAKE_KEY.format(name))  # from here on a new event needs a new message
        for _ in range(TAKEN_LOOKS):
            if self._engine.drain(self._followers[name]) is not Step.TAKEN:
                return
            time.sleep(TAKEN_PAUSE_S)

    def _tick_until_stopped(self) -> None:
        retry_at = upkeep_at = 0.0
        while not self._stopping.wait(TICK_S):
            now = self._turned_at = time.monotonic()
            try:
                self._look(retry_halted=now >= retry_at)
                retry_at = now + RETRY_HALTED_S if now >= retry_at else retry_at
                if now >= upkeep_at:
                    self._run_upkeep()
                    upkeep_at = now + UPKEEP_S
            except (OperationalError, PoolTimeout) as error:
                log.warning("tick_without_database", error=repr(error)[:200])
            except Exception:
                log.exception("tick_failed")

    def _look(self, *, retry_halted: bool) -> None:
        """Run whoever is behind, and say how far."""
        with self._platform.projector_pool.connection() as connection:
            safe = connection.execute("SELECT es.safe_position()").fetchone()
            rows = connection.execute(_STANDS).fetchall()
            if retry_halted:  # every few seconds: there may be very many
                self._tell_dead_letters(counts(connection))
                _tell_drifts(drifts(connection))
        assert safe is not None
        stands = {name: (position, state, float(seconds)) for name, position, state, seconds in rows}
        for name, follower in self._followers.items():
            position, state, seconds = stands.get(name, (0, "running", 0.0))
            self._tell(name, state, max(0, safe[0] - position), seconds)
            if (position < safe[0] and state in ("running", "waiting")) or (state == "halted" and retry_halted):
                self._submit(follower, retry_halted=state == "halted")
        for state, count in self._platform.projector_pool.get_stats().items():
            if state in ("pool_size", "pool_available", "requests_waiting"):
                DB_POOL.labels(state).set(count)

    def _tell(self, name: str, state: str, events: int, seconds: float) -> None:
        PROJECTION_LAG_EVENTS.labels(name).set(events)
        PROJECTION_LAG_SECONDS.labels(name).set(seconds)
        for one in STATES:
            PROJECTION_STATE.labels(name, one).set(one == state)

    def _tell_dead_letters(self, letters: dict[str, int]) -> None:
        for name in self._followers:
            DEAD_LETTERS.labels(name).set(letters.get(name, 0))

    def _submit(self, follower: Follower, *, retry_halted: bool) -> None:
        if follower.name in self._running:
            return
        self._running.add(follower.name)

        def run() -> None:
            try:
                self._engine.drain(follower, retry_halted=retry_halted)
            except Exception as error:
                log.warning("follower_interrupted", follower=follower.name, error=repr(error)[:200])
            finally:
                self._running.discard(follower.name)

        self._threads.submit(run)

    def _run_upkeep(self) -> None:
        for job in self._upkeep:
            try:
                job()
            except Exception:
                log.exception("upkeep_failed")

    def _maintain(self) -> None:
        now = datetime.now(UTC)
        keep = timedelta(days=self._platform.settings.security.keep_addresses_days)
        with self._platform.projector_pool.connection() as connection:
            connection.execute("SELECT es.maintain_command_context(%s, %s)", (now, keep))
            partitions.make_ahead(connection)
            connection.execute("SELECT journal.maintain_segments(%s, %s)", (now, PARTITIONS_AHEAD))
        with self._platform.pool.connection() as connection:
            forget_ended_sessions(connection, now)
            forget_old_tokens(connection, now)
            forget_guesses(connection, now)
            forget_expired_keys(connection, now)
            forget_mailboxes(connection, now)


def _tell_drifts(found: Sequence[Drift]) -> None:
    for drift in found:
        if drift.differences is not None:
            PROJECTION_DRIFT.labels(drift.name).set(drift.differences)
            PROJECTION_CHECKED.labels(drift.name).set(drift.checked_at.timestamp())


def run_worker(
    platform: Platform,
    followers: Sequence[Follower],
    upkeep: Sequence[Callable[[], None]] = (),
    *,
    started: Callable[[], None] = lambda: None,
) -> int:
    """Run until SIGTERM or SIGINT; `started` is called once everything runs. Returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    loop = WorkerLoop(platform, followers, upkeep)
    loop.start()
    started()
    while not stop.wait(BEAT_S):
        if loop.turns:
            beat()
    loop.stop()
    return 0
