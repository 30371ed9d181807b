"""Carries out what moderators decide: deletes the torrent, disables the user, and lets a user in again whom a later
decision of the same case clears."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor

from commands.users import end_access, ended_access
from domain.base import Aggregate
from domain.moderation import Case, Outcome
from domain.torrents import Torrent, TorrentState
from domain.users import User
from runtime.facts import Fact, FactLog
from runtime.projection import Policy
from runtime.recorder import Beside
from runtime.store import Store

enforce_decisions = Policy("enforce_decisions")


@enforce_decisions.on(Case.Decided)
def decided(fact: Fact[Case.Decided], store: Store) -> None:
    """Everything in one save, so that a repeat of the fact finds all of it done or none."""
    torrent, user = _torrent(fact, store), _user(fact, store)
    changed: list[Aggregate] = [aggregate for aggregate in (torrent, user) if aggregate is not None]
    if user is not None and not user.enabled:
        changed += ended_access(store, user.id, "disabled", fact.at)
        store.save(*changed, beside=_signing_out(user.id, fact.at))
    elif changed:
        store.save(*changed)


def _torrent(fact: Fact[Case.Decided], store: Store) -> Torrent | None:
    if fact.event.outcome != Outcome.TORRENT_DELETED:
        return None
    torrent = store.find(Torrent, fact.event.subject_id)
    if torrent is None or torrent.state is TorrentState.DELETED:
        return None
    torrent.delete(fact.event.reason, by=fact.event.moderator_id, staff=True, now=fact.at)
    return torrent


def _user(fact: Fact[Case.Decided], store: Store) -> User | None:
    disables = fact.event.outcome == Outcome.USER_DISABLED
    user = store.find(User, fact.event.concerned_id)
    if user is None or user.enabled is not disables:
        return None
    if disables:
        user.disable(fact.event.reason)
    elif _was_disabled_by(fact.stream_id, user.id, store):
        user.enable(fact.event.reason)
    return user if user.pending_events else None


def _was_disabled_by(case_id: UUID, user_id: UUID, store: Store) -> bool:
    """Whether it was this case that shut the user out: clearing one does not lift what others decided."""
    log = FactLog(store.history)
    decisions = {fact.event_id for fact in log.stream(case_id)}
    shut_out = [fact.causation_id for fact in log.stream(user_id) if isinstance(fact.event, User.Disabled)]
    return bool(shut_out) and shut_out[-1] in decisions


def _signing_out(user_id: UUID, at: datetime) -> Beside:
    def end(cursor: Cursor[Any]) -> None:
        end_access(cursor, user_id, at)

    return end
