"""Registrations decided ahead of their time: the hash of a password takes longer than all else that a command does."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any
from uuid import UUID

from commands.registration import create_user
from domain.base import SYSTEM, Aggregate
from domain.usernames import UsernameTaken
from runtime.demo.past import PastStore, SeededIds, moment
from runtime.passwords import AT_ONCE
from runtime.platform import Platform
from runtime.recorder import Metadata
from runtime.store import NOBODY, Receipt, ids_from, unbound_metadata

#: How many are decided before the first of them happens.
AHEAD = 256
ORIGIN = "seed"


@dataclass(frozen=True)
class Plan:
    """One registration to come; `group` is for staff, whom the site itself makes."""

    at_us: int
    name: str
    group: str
    ids: SeededIds


@dataclass(frozen=True)
class Decided:
    """A registration as its command decided it."""

    plan: Plan
    user_id: UUID
    username: str
    metadata: Metadata
    aggregates: tuple[Aggregate, ...]
    rest: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Deciding(PastStore):
    """Takes what a command would save. Ids and names are new, so what it decides on will not have changed by then."""

    taken: list[tuple[Metadata, tuple[Aggregate, ...], dict[str, Any]]] = field(default_factory=list)

    def save(self, *aggregates: Aggregate, **rest: Any) -> Any:
        self.taken.append((self.metadata, aggregates, rest))
        kind: Callable[..., Receipt] = rest["answer"]
        extra = {name: value for name, value in rest.items() if name not in {"answer", "beside"}}
        return kind(id=aggregates[0].id, version=aggregates[0].version, position=0, **extra)


class Newcomers:
    """The registrations of `plans` in their order, decided by threads."""

    def __init__(self, platform: Platform, plans: Iterable[Plan], password: str) -> None:
        self._platform = platform
        self._password = password
        self._plans: Iterator[Plan] = iter(plans)
        self._threads = ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1), thread_name_prefix="newcomers")
        self._coming: deque[Future[Decided]] = deque()
        self._ask(AHEAD)

    def next(self) -> Decided:
        """The next registration, to be saved now."""
        decided = self._coming.popleft().result()
        self._ask(1)
        return decided

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _ask(self, number: int) -> None:
        self._coming.extend(self._threads.submit(self._decide, plan) for plan in islice(self._plans, number))

    def _decide(self, plan: Plan) -> Decided:
        with ids_from(plan.ids):
            for attempt in count(1):
                name = plan.name if attempt == 1 else f"{plan.name}-{attempt}"
                try:
                    return self._registered(plan, name)
                except UsernameTaken:  # by somebody who was here before
                    continue
        raise AssertionError("unreachable: names do not run out")

    def _registered(self, plan: Plan, name: str) -> Decided:
        actor_id = SYSTEM if plan.group != "member" else NOBODY
        store = _Deciding(
            self._platform.history, unbound_metadata(actor_id, ORIGIN), lambda topics: None, at=moment(plan.at_us)
        )
        registered = create_user(
            store,
            self._platform.secrets.site,
            username=name,
            email=f"{name}@demo.example",
            password=self._password,
            group=plan.group,
            now=store.at,
        )
        [(metadata, aggregates, rest)] = store.taken
        return Decided(plan, registered.id, registered.username, metadata, aggregates, rest)
