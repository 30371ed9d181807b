"""The same questions as over REST, as many as fit into one document, with their answers joined.

What a root field is, who may ask it and what it refuses is said by its route; here stands only which routes there are,
and which answers lead to which others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from queries.audit import AuditSubject
from queries.bonus import list_own_ledger
from queries.moderation import CaseDetail, SubjectShown, get_case_history
from queries.peers import list_peers
from queries.people import Person
from queries.requests import Bounty, RequestShown, bounties, requests_seen
from queries.torrent_history import get_torrent_history
from queries.torrents import TorrentDetail, TorrentItem, torrents_seen
from queries.user_stats import TransferShown, UserStats, stats_seen
from queries.users import FoundUser, ListedUser, OwnAccount, UserDetail, users_seen
from runtime.graphql.prepare import Prepared
from runtime.graphql.questions import Asking
from runtime.graphql.route import AskerDep, GraphQLAnswer, answer, preparing
from runtime.graphql.schema import Join, Nested, Schema, build
from runtime.http.body import QuestionRoute


def _users(asking: Asking, ids: Collection[UUID]) -> dict[UUID, UserDetail]:
    return users_seen(asking.db(), ids, asking.caller)


def _stats(asking: Asking, ids: Collection[UUID]) -> dict[UUID, UserStats]:
    return stats_seen(asking.db(), ids, asking.caller, asking.now)


def _torrents(asking: Asking, ids: Collection[UUID]) -> dict[UUID, TorrentItem]:
    return torrents_seen(asking.db(), ids, asking.caller, asking.now)


def _requests(asking: Asking, ids: Collection[UUID]) -> dict[UUID, RequestShown]:
    return requests_seen(asking.db(), ids, asking.caller)


def _bounties(asking: Asking, ids: Collection[UUID]) -> dict[UUID, list[Bounty]]:
    return bounties(asking.db(), ids)


USERS = frozenset({"users", "privacy", "profiles", "relations"})
STATS = frozenset({"peers", "users", "bonus", "user_statistics", "privacy"})
TORRENTS = frozenset({"torrents", "users", "privacy"})
REQUESTS = frozenset({"requests", "users"})


def _subject(on: type[SubjectShown] | type[AuditSubject]) -> tuple[Join, ...]:
    """What a subject is, by its kind: the field of that kind leads to it, the others are null."""

    def of(kind: str) -> Callable[[Any], UUID | None]:
        return lambda subject: subject.id if subject.type == kind else None

    return (
        Join(on, "torrent", TorrentItem, of("torrent"), _torrents, TORRENTS, "The torrent, if it is about one."),
        Join(on, "user", UserDetail, of("user"), _users, USERS, "The user, if it is about one."),
        Join(on, "request", RequestShown, of("request"), _requests, REQUESTS, "The request, if it is about one."),
    )


def _own_id(one: Any) -> UUID:
    found: UUID = one.id
    return found


JOINS: tuple[Join, ...] = (
    Join(
        Person, "user", UserDetail, _own_id, _users, USERS, "The user, as `user` shows it; null if it has no account."
    ),
    *(
        Join(on, "stats", UserStats, _own_id, _stats, STATS, "The user's numbers, as `user_stats` shows them.")
        for on in (ListedUser, FoundUser)
    ),
    *(
        Join(
            on,
            "torrent",
            TorrentItem,
            lambda one: one.torrent_id,
            _torrents,
            TORRENTS,
            "The torrent, if one may see it.",
        )
        for on in (RequestShown, TransferShown)
    ),
    Join(RequestShown, "bounties", list[Bounty], _own_id, _bounties, REQUESTS, "What everybody offered."),
    *_subject(SubjectShown),
    *_subject(AuditSubject),
)

#: What is asked of one answer alone, with arguments of its own.
NESTED: tuple[Nested, ...] = (
    Nested(TorrentDetail, "peers", list_peers, {"torrent_id": _own_id}),
    Nested(TorrentDetail, "history", get_torrent_history, {"torrent_id": _own_id}),
    Nested(CaseDetail, "history", get_case_history, {"case_id": _own_id}),
    Nested(OwnAccount, "ledger", list_own_ledger, {}),
)


def schema_over(routers: Sequence[APIRouter]) -> Schema:
    """Each GET route of these that answers with a model is a root field."""
    return build(routers, JOINS, NESTED)


def graphql_over(schema: Schema) -> APIRouter:
    """The route at which the schema is asked."""
    document = Depends(preparing(schema))
    router = APIRouter(prefix="/graphql", tags=["graphql"], route_class=QuestionRoute)

    @router.post("", response_model=GraphQLAnswer)
    def ask_graphql(asker: AskerDep, prepared: Prepared = document) -> JSONResponse:
        """As many questions as fit into one document: those of the GET routes, under their names without the verb, with
        the same permissions, privacy and refusals."""
        return answer(schema, prepared, asker)

    return router
