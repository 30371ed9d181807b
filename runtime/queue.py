"""How followers learn that there is something to do: one message per follower, over Dramatiq, that may get lost.

Positions are the truth (`runtime.follow`); a message only saves the wait for the worker's next look. So waking never
blocks a command and never fails one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError, DramatiqError
from dramatiq.middleware import AgeLimit, Retries
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from runtime.telemetry import WAKEUPS

QUEUE = "follow"
ACTOR = "follow"

#: Followers are woken at most this often, so that a burst of commands costs a message each, not one per command.
PAUSE_S = 0.005
#: Rung after a message is queued, by publishing to this channel.
BELL = "bell"
#: While this key exists a message for the follower waits in the queue; it dies by itself should the message be lost.
WAKE_KEY = "wake:{}"
WAKE_KEY_MS = 2000
#: An old wake-up tells nothing: the worker has looked by itself many times since.
MAX_AGE_MS = 30_000
RETRIES = 3
RETRY_AFTER_MS = 50
#: Messages that could not be handled are kept for an hour to look at.
DEAD_MS = 3_600_000
SOCKET_TIMEOUT_S = 2.0

log = structlog.get_logger()


class WakeBroker(RedisBroker):
    """Dramatiq's broker, whose consumers survive what is not a message."""

    @property
    def consumer_class(self) -> Any:
        return _Consumer


class _Consumer(_RedisConsumer):
    """Left alone, it would look every so often, and be told of a message by finding it; this one listens for the bell.

    One undecodable entry would stop it for seconds, each time it comes back.
    """

    def __init__(self, broker: RedisBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, 0)  # type: ignore[no-untyped-call]
        self._longest_s = timeout / 1000
        self._bell = broker.client.pubsub(ignore_subscribe_messages=True)
        self._bell.subscribe(BELL)

    def __next__(self) -> Any:
        try:
            if (message := super().__next__()) is None:  # type: ignore[no-untyped-call]
                self._listen()
            return message
        except (DecodeError, TypeError, KeyError, AttributeError) as error:
            log.error("message_rejected", error=type(error).__name__)
            WAKEUPS.labels("rejected").inc()
            return None

    def close(self) -> None:
        self._bell.close()

    def _listen(self) -> None:
        """Until it rings, or the longest time between two looks: a bell can be missed."""
        try:
            if self._bell.get_message(timeout=self._longest_s):
                while self._bell.get_message():
                    pass  # rung for messages that the next look finds together
        except RedisConnectionError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]


def open_broker(redis_url: str) -> WakeBroker:
    """The broker of this process. Valkey need not answer yet."""
    connections = ConnectionPool.from_url(
        redis_url,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    middleware = [AgeLimit(max_age=MAX_AGE_MS), Retries(max_retries=RETRIES, min_backoff=RETRY_AFTER_MS)]
    client = Redis(connection_pool=connections)
    return WakeBroker(client=client, middleware=middleware, dead_message_ttl=DEAD_MS)  # type: ignore[no-untyped-call]


class Waker:
    """Tells the workers which followers have something to read; `topics` is what each follower reads, None = all."""

    def __init__(self, broker: RedisBroker, topics: Mapping[str, Sequence[str] | None]) -> None:
        self._broker = broker
        self._topics = {name: None if wanted is None else frozenset(wanted) for name, wanted in topics.items()}
        self._readers: dict[frozenset[str], frozenset[str]] = {}  # of the topics that commands record together
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._pending = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        self._thread.start()

    def wake(self, topics: list[str]) -> None:
        """Events of these topics are committed. Returns at once, whatever the queue does."""
        changed = frozenset(topics)
        names = self._readers.get(changed)
        if names is None:
            names = self._readers[changed] = self._who_reads(changed)
        if names:
            with self._lock:
                self._names |= names
            self._pending.set()

    def close(self) -> None:
        """Stop the thread; what was not sent yet is left to the worker's own look."""
        self._closed.set()
        self._pending.set()
        self._thread.join()

    def _who_reads(self, changed: frozenset[str]) -> frozenset[str]:
        if not changed:
            return frozenset()
        topics = self._topics.items()
        return frozenset(name for name, wanted in topics if wanted is None or not wanted.isdisjoint(changed))

    def _run(self) -> None:
        while self._pending.wait() and not self._closed.is_set():
            self._pending.clear()
            with self._lock:
                names, self._names = self._names, set()
            self._send(sorted(names))
            self._closed.wait(PAUSE_S)

    def _send(self, names: list[str]) -> None:
        try:
            for name in self._not_queued(names):
                self._broker.enqueue(wake_message(name))
                self._broker.client.publish(BELL, b"")
                WAKEUPS.labels("sent").inc()
        except (RedisError, DramatiqError, OSError):
            WAKEUPS.labels("dropped").inc()

    def _not_queued(self, names: list[str]) -> list[str]:
        with self._broker.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.set(WAKE_KEY.format(name), b"", nx=True, px=WAKE_KEY_MS)
            return [name for name, is_new in zip(names, pipeline.execute(), strict=True) if is_new]


def wake_message(name: str) -> dramatiq.Message[Any]:
    """The message that makes a worker run one follower."""
    return dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=(name,), kwargs={}, options={})
