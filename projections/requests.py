"""Requests and who put how much on them."""

from __future__ import annotations

from domain.requests import Request
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

requests = Projection("requests", "request", "request_bounty", stream="request_id")


@requests.on(Request.Opened)
def opened(fact: Fact[Request.Opened], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO request (request_id, requester_id, title, description, category, state, bounty, opened_at,"
        " version, opened_position) VALUES (%s, %s, %s, %s, %s, 'open', 0, %s, %s, %s)",
        (
            fact.stream_id,
            event.requester_id,
            event.title,
            event.description,
            event.category,
            fact.at,
            fact.version,
            fact.position,
        ),
    )


@requests.on(Request.BountyAdded)
def bounty_added(fact: Fact[Request.BountyAdded], db: Writer) -> None:
    db.update(
        "UPDATE request SET bounty = bounty + %s, version = %s WHERE request_id = %s",
        (fact.event.amount, fact.version, fact.stream_id),
    )
    db.execute(
        "INSERT INTO request_bounty AS b (request_id, contributor_id, amount, last_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (request_id, contributor_id) DO UPDATE"
        " SET amount = b.amount + excluded.amount, last_at = excluded.last_at",
        (fact.stream_id, fact.event.contributor_id, fact.event.amount, fact.at),
    )


@requests.on(Request.Filled)
def filled(fact: Fact[Request.Filled], db: Writer) -> None:
    db.update(
        "UPDATE request SET state = 'filled', filler_id = %s, torrent_id = %s, filled_at = %s, rejection = NULL,"
        " version = %s WHERE request_id = %s",
        (fact.event.filler_id, fact.event.torrent_id, fact.at, fact.version, fact.stream_id),
    )


@requests.on(Request.FillRejected)
def fill_rejected(fact: Fact[Request.FillRejected], db: Writer) -> None:
    db.update(
        "UPDATE request SET state = 'open', filler_id = NULL, torrent_id = NULL, filled_at = NULL, rejection = %s,"
        " version = %s WHERE request_id = %s",
        (fact.event.reason, fact.version, fact.stream_id),
    )


@requests.on(Request.Accepted)
def accepted(fact: Fact[Request.Accepted], db: Writer) -> None:
    db.update(
        "UPDATE request SET state = 'accepted', closed_at = %s, version = %s WHERE request_id = %s",
        (fact.at, fact.version, fact.stream_id),
    )


@requests.on(Request.Cancelled)
def cancelled(fact: Fact[Request.Cancelled], db: Writer) -> None:
    db.update(
        "UPDATE request SET state = 'cancelled', closed_at = %s, version = %s WHERE request_id = %s",
        (fact.at, fact.version, fact.stream_id),
    )
