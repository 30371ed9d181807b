"""Counts uploads and fills as they are listed, accepted and undone, and with them what they achieve."""

from __future__ import annotations

from uuid import UUID

from commands.achievements import achievements_of, catalogue
from domain.achievement_rules import Measure
from domain.achievements import TorrentFills, torrent_fills_id
from domain.base import Aggregate
from domain.requests import Request
from domain.torrents import Torrent
from runtime.facts import Fact
from runtime.projection import Policy
from runtime.store import Store

award_achievements = Policy("award_achievements")


@award_achievements.on(Torrent.Approved)
def approved(fact: Fact[Torrent.Approved], store: Store) -> None:
    torrent = store.get(Torrent, fact.stream_id)
    if torrent.anonymous:  # a badge would name its uploader
        return
    achievements = achievements_of(store, torrent.uploader_id)
    achievements.count(Measure.UPLOADS, torrent.id, "an upload was listed", catalogue(store))
    _save(store, achievements)


@award_achievements.on(Torrent.Rejected)
def rejected(fact: Fact[Torrent.Rejected], store: Store) -> None:
    achievements = achievements_of(store, store.get(Torrent, fact.stream_id).uploader_id)
    achievements.uncount(Measure.UPLOADS, fact.stream_id, "an upload was rejected", catalogue(store))
    _save(store, achievements)


@award_achievements.on(Torrent.Deleted)
def deleted(fact: Fact[Torrent.Deleted], store: Store) -> None:
    """The upload counts no more, nor does any request that it filled."""
    uploader_id = store.get(Torrent, fact.stream_id).uploader_id
    fills = store.find(TorrentFills, torrent_fills_id(fact.stream_id))
    fillers = {} if fills is None else fills.fillers
    users = {user_id: achievements_of(store, user_id) for user_id in {uploader_id, *fillers.values()}}
    rules, reason = catalogue(store), "the torrent was deleted"
    users[uploader_id].uncount(Measure.UPLOADS, fact.stream_id, reason, rules)
    for request_id, filler_id in fillers.items():
        users[filler_id].uncount(Measure.REQUESTS_FILLED, request_id, reason, rules)
    _save(store, *users.values())


@award_achievements.on(Request.Accepted)
def accepted(fact: Fact[Request.Accepted], store: Store) -> None:
    filler_id, torrent = fact.event.filler_id, store.get(Torrent, fact.event.torrent_id)
    if torrent.anonymous and torrent.uploader_id == filler_id:
        return
    achievements, fills = achievements_of(store, filler_id), _fills(store, torrent.id)
    achievements.count(Measure.REQUESTS_FILLED, fact.stream_id, "a fill was accepted", catalogue(store))
    fills.note(fact.stream_id, filler_id)
    _save(store, achievements, fills)


def _fills(store: Store, torrent_id: UUID) -> TorrentFills:
    return store.find(TorrentFills, torrent_fills_id(torrent_id)) or TorrentFills.open(torrent_id)


def _save(store: Store, *aggregates: Aggregate) -> None:
    """Those in which something happened: a stream is not opened for nothing."""
    changed = [one for one in aggregates if len(one.pending_events) > _opened_now(one)]
    if changed:
        store.save(*changed)


def _opened_now(aggregate: Aggregate) -> bool:
    return aggregate.version == len(aggregate.pending_events)
