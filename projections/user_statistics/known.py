"""What a batch of facts needs to know of earlier ones: loaded before they are counted, written after."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from domain.bonus import Account
from domain.requests import Request
from domain.sessions import Session
from domain.statistics import Streak
from domain.torrents import Torrent
from runtime.db import MissingRow, Writer
from runtime.facts import AnyFact


@dataclass
class KnownTorrent:
    """`listed` is whether it counts as an upload now."""

    uploader_id: UUID
    anonymous: bool
    listed: bool


@dataclass(frozen=True)
class KnownFill:
    """An accepted fill; it is `anonymous` when it would name the uploader of an anonymous torrent."""

    torrent_id: UUID
    filler_id: UUID
    anonymous: bool


class Known:
    """Torrents, accounts, fills and streaks that these facts are about."""

    def __init__(self, db: Writer, facts: Collection[AnyFact]) -> None:
        self._torrents = _torrents(db, facts)
        self._accounts = _accounts(db, facts)
        self._fills = _fills(db, facts)
        self.streaks = _streaks(db, facts)
        self._changed_torrents: set[UUID] = set()
        self._new_accounts: dict[UUID, UUID] = {}
        self._new_fills: list[tuple[UUID, KnownFill]] = []

    def torrent(self, torrent_id: UUID) -> KnownTorrent:
        found = self._torrents.get(torrent_id)
        if found is None:
            raise MissingRow(f"counted_torrent {torrent_id}")
        return found

    def keep_torrent(self, torrent_id: UUID, torrent: KnownTorrent) -> None:
        self._torrents[torrent_id] = torrent
        self._changed_torrents.add(torrent_id)

    def user_of_account(self, account_id: UUID) -> UUID | None:
        """Whose points the account holds; None for the site's own accounts."""
        return self._accounts.get(account_id)

    def keep_account(self, account_id: UUID, user_id: UUID) -> None:
        self._accounts[account_id] = self._new_accounts[account_id] = user_id

    def fills_with(self, torrent_id: UUID) -> list[tuple[UUID, KnownFill]]:
        """The requests that the torrent fills."""
        return [(request_id, fill) for request_id, fill in self._fills.items() if fill.torrent_id == torrent_id]

    def keep_fill(self, request_id: UUID, fill: KnownFill) -> None:
        self._fills[request_id] = fill
        self._new_fills.append((request_id, fill))

    def write(self, db: Writer) -> None:
        torrents = [(one, self._torrents[one]) for one in sorted(self._changed_torrents)]
        db.many(
            "INSERT INTO counted_torrent AS t (torrent_id, uploader_id, anonymous, listed) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (torrent_id) DO UPDATE SET listed = excluded.listed",
            [(torrent_id, it.uploader_id, it.anonymous, it.listed) for torrent_id, it in torrents],
        )
        db.many("INSERT INTO counted_account (account_id, user_id) VALUES (%s, %s)", sorted(self._new_accounts.items()))
        db.many(
            "INSERT INTO counted_fill (request_id, torrent_id, filler_id, anonymous) VALUES (%s, %s, %s, %s)",
            [(request_id, fill.torrent_id, fill.filler_id, fill.anonymous) for request_id, fill in self._new_fills],
        )


def _torrents(db: Writer, facts: Iterable[AnyFact]) -> dict[UUID, KnownTorrent]:
    ids = {fact.stream_id for fact in facts if isinstance(fact.event, Torrent.Event)}
    ids |= {fact.event.torrent_id for fact in facts if isinstance(fact.event, Request.Accepted)}
    query: LiteralString = (
        "SELECT torrent_id, uploader_id, anonymous, listed FROM counted_torrent WHERE torrent_id = ANY(%s)"
    )
    return {torrent_id: KnownTorrent(*row) for torrent_id, *row in _rows(db, query, ids)}


def _accounts(db: Writer, facts: Iterable[AnyFact]) -> dict[UUID, UUID]:
    ids = {fact.stream_id for fact in facts if isinstance(fact.event, Account.Posted)}
    return dict(_rows(db, "SELECT account_id, user_id FROM counted_account WHERE account_id = ANY(%s)", ids))


def _fills(db: Writer, facts: Iterable[AnyFact]) -> dict[UUID, KnownFill]:
    ids = {fact.stream_id for fact in facts if isinstance(fact.event, Torrent.Deleted)}
    query: LiteralString = (
        "SELECT request_id, torrent_id, filler_id, anonymous FROM counted_fill WHERE torrent_id = ANY(%s)"
        " ORDER BY request_id"
    )
    return {request_id: KnownFill(*row) for request_id, *row in _rows(db, query, ids)}


def _streaks(db: Writer, facts: Iterable[AnyFact]) -> dict[UUID, Streak]:
    ids = {fact.event.user_id for fact in facts if isinstance(fact.event, Session.Started)}
    query: LiteralString = (
        "SELECT user_id, sign_in_day, sign_in_days, sign_in_days_longest FROM user_statistics WHERE user_id = ANY(%s)"
    )
    return {user_id: Streak(*row) for user_id, *row in _rows(db, query, ids)}


def _rows(db: Writer, query: LiteralString, ids: set[UUID]) -> list[tuple[Any, ...]]:
    """Nothing is asked for no ids."""
    return db.rows(query, ([*ids],)) if ids else []
