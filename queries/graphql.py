"""The same questions as over REST, as many as fit into one document, with their answers joined.

What a root field is, who may ask it and what it refuses is said by its route; here stands only which answers lead to
which others.
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
from queries.requests import Bounty, RequestShown, bounties, get_request, requests_seen
from queries.torrent_history import get_torrent_history
from queries.torrents import TorrentDetail, TorrentItem, get_torrent, torrents_seen
from queries.user_stats import TransferShown, UserStats, get_user_stats, stats_seen
from queries.users import FoundUser, ListedUser, OwnAccount, UserDetail, get_user, users_seen
from runtime.graphql.prepare import Prepared
from runtime.graphql.questions import Asking
from runtime.graphql.route import AskerDep, GraphQLAnswer, answer, preparing
from runtime.graphql.schema import Join, Lookup, Nested, Schema, build
from runtime.http.body import QuestionRoute


def _users(asking: Asking, ids: Collection[UUID]) -> dict[UUID, UserDetail]:
    return users_seen(asking.db(), ids, asking.caller, asking.now)


def _stats(asking: Asking, ids: Collection[UUID]) -> dict[UUID, UserStats]:
    return stats_seen(asking.db(), ids, asking.caller, asking.now)


def _torrents(asking: Asking, ids: Collection[UUID]) -> dict[UUID, TorrentItem]:
    return torrents_seen(asking.db(), ids, asking.caller, asking.now)


def _requests(asking: Asking, ids: Collection[UUID]) -> dict[UUID, RequestShown]:
    return requests_seen(asking.db(), ids, asking.caller)


def _bounties(asking: Asking, ids: Collection[UUID]) -> dict[UUID, list[Bounty]]:
    return bounties(asking.db(), ids)


USER, STATS = Lookup(UserDetail, _users, get_user), Lookup(UserStats, _stats, get_user_stats)
TORRENT, REQUEST = Lookup(TorrentItem, _torrents, get_torrent), Lookup(RequestShown, _requests, get_request)
BOUNTIES = Lookup(list[Bounty], _bounties, get_request)


def _id(one: Any) -> UUID:
    found: UUID = one.id
    return found


def _torrent_id(one: Any) -> UUID | None:
    found: UUID | None = one.torrent_id
    return found


def _id_of(kind: str) -> Callable[[Any], UUID | None]:
    """The id of a subject of that kind."""
    return lambda subject: subject.id if subject.type == kind else None


JOINS: tuple[Join, ...] = (
    Join(Person, "user", _id, USER, "The user, as `user` shows it; null if it has no account."),
    Join(ListedUser, "stats", _id, STATS, "The user's numbers, as `user_stats` shows them."),
    Join(FoundUser, "stats", _id, STATS, "The user's numbers, as `user_stats` shows them."),
    Join(RequestShown, "torrent", _torrent_id, TORRENT, "What filled it, if one may see that."),
    Join(RequestShown, "bounties", _id, BOUNTIES, "What everybody offered."),
    Join(TransferShown, "torrent", _torrent_id, TORRENT, "The torrent, if one may see it."),
    *(
        Join(subject, kind, _id_of(kind), lookup, f"The {kind}, if it is about one.")
        for subject in (SubjectShown, AuditSubject)
        for kind, lookup in (("torrent", TORRENT), ("user", USER), ("request", REQUEST))
    ),
)

#: What is asked of one answer alone, with arguments of its own.
NESTED: tuple[Nested, ...] = (
    Nested(TorrentDetail, "peers", list_peers, {"torrent_id": _id}),
    Nested(TorrentDetail, "history", get_torrent_history, {"torrent_id": _id}),
    Nested(CaseDetail, "history", get_case_history, {"case_id": _id}),
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
