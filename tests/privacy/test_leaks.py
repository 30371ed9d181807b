"""What a user hides, nobody reads anywhere: planted values, every GET route, viewers of every group.

Every number and moment that a read table holds of the user becomes a value that is found nowhere else. A column, a
route or a field that somebody adds is planted, asked and judged without any change here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from pydantic import BaseModel

from domain.announces import Event
from domain.default_data import GROUPS
from domain.privacy import OVERRIDE, PrivacyKey
from queries import ROUTERS, SCHEMA
from queries.privacy import marks
from queries.user_stats import UserStats
from tests.authorization.rows import ROWS
from tests.authorization.site import Route, routes
from tests.authorization.test_routes import expected
from tests.bad_input.schemas import Document, Operation
from tests.given import rows_of
from tests.graphql.documents import ROOTS, required, whole
from tests.members import Client, Member
from tests.peers.edges import ShippingEdge, announce

#: How the tables keep their books: no answer to a question about a user.
BOOKKEEPING = {"version", "changed_pos", "position", "opened_position", "seq", "n", "passkey_no", "key_no"}
#: Planted columns that everybody may read, and why.
OPEN = {
    "account.registered_at": "not among the 17: everybody sees who is new",
    **{
        f"user_statistics.{name}": "not among the 17"
        for name in ("requests_opened", "requests_filled", "bounty_spent", "bounty_earned")
    },
    "peer.remaining": "of a client of which nobody says whose it is",
    "peer.first_announced_at": "of a client of which nobody says whose it is",
    "peer.last_announced_at": "of a client of which nobody says whose it is",
}
#: Routes that name users for another reason than what these up- or download.
NAMING = {"search_users": "whoever knows the name, and is not private"}
#: Fields of answers about one user that are numbers or moments and no business of privacy, and why.
OPEN_FIELDS = {
    "UserDetail.registered_at": "not among the 17",
    "UserDetail.version": "of the account, for If-Match",
    "UserDetail.warned_until": "for the user and for staff",
    **{f"UserStats.{name}": "not among the 17" for name in ("requests_opened", "requests_filled", "joined_at")},
    **{f"UserStats.{name}": "not among the 17" for name in ("bounty_spent", "bounty_earned")},
    "ConditionShown.threshold": "of the site",
    "Progress.threshold": "of the site",
    "Progress.done": "for the user and for who sees private things",
    "UserAchievement.earned_at": "not shown with what is hidden",
    **{f"UserRanks.{name}": "not among the 17" for name in ("requests_filled", "bounty_spent", "posts", "tag_votes")},
    **{
        f"UserStats.{name}": "for the user and for who sees private things"
        for name in ("uploads_anonymous", "requests_filled_anonymous", "reports")
    },
}
#: Who asks everything by GraphQL, too: what its fields show to others is what their routes show.
ASKING_AT_ONCE = ("member",)
HIDE_EVERYTHING = {str(key): "hidden" for key in PrivacyKey}


@dataclass(frozen=True)
class Marker:
    """A planted value as answers may show it."""

    column: str
    texts: tuple[str, ...]

    def is_in(self, answer: str) -> bool:
        return any(text in answer for text in self.texts)


class Site:
    """Zebulon has uploaded, seeds one torrent and leeches another; nobody else has any numbers."""

    def __init__(self, client: Client, app: FastAPI, owner: psycopg.Connection[Any]) -> None:
        self.client = client
        self.gets = [one for one in Document(app.openapi()).operations if one.method == "get" and "/v1/" in one.path]
        self.hider = client.members.join("zebulon", points=77)
        self.viewers = {slug: client.members.join(f"v{level}", slug) for slug, _, level, _ in GROUPS}
        self.own = self.hider.uploads("Zebra Crossing")
        other = self.viewers["uploader"].uploads("A Zoo")
        ShippingEdge(client.platform).ship(
            [
                announce(0, Event.STARTED, user=self.hider.id, torrent=self.own.id),
                announce(600, user=self.hider.id, torrent=self.own.id, up=1000),
                announce(601, Event.STARTED, user=self.hider.id, torrent=other.id, left=5),
                announce(1200, user=self.hider.id, torrent=other.id, down=1000, left=5),
            ]
        )
        client.members.catch_up()
        self.torrents = {self.own.id, other.id}
        self.markers = list(planted(owner, self.hider.id))
        self.markers += self._derived()

    def _derived(self) -> Iterator[Marker]:
        found = "SELECT round(uploaded::numeric / downloaded, 3)::float8 FROM read.user_stats WHERE user_id = %s"
        ((ratio,),) = rows_of(self.client.platform, found, [self.hider.id])
        yield Marker("user_stats.ratio", (str(ratio),))

    def hide_everything(self) -> None:
        answer = self.client.send("PUT", "/users/me/privacy", self.hider, HIDE_EVERYTHING)
        assert answer.status_code == 200, answer.text
        self.client.members.catch_up()

    def answers(self, viewer: Member) -> Iterator[tuple[Operation, str, str]]:
        """Every GET route about zebulon and its torrents: the operation, the address asked, the text of the answer."""
        for operation in self.gets:
            for address in self._addresses(operation):
                answer = self.client.at_once("GET", address, viewer)
                assert answer.status_code < 500, (address, answer.text)
                yield operation, address, answer.text

        if viewer.caller.group in ASKING_AT_ONCE:
            yield from self._asked_at_once(viewer)

    def _asked_at_once(self, viewer: Member) -> Iterator[tuple[Operation, str, str]]:
        """The same by GraphQL, with everything that is joined to it."""
        operations = {one.name: one for one in self.gets}
        for field, asked in SCHEMA.roots.items():
            for given in self._arguments(field, operations[asked.route]):
                for document in whole(field, given):
                    answer = self.client.api.post("/graphql", json={"query": document}, headers=viewer.headers)
                    assert answer.status_code in (200, 403), (document, answer.text)
                    assert '"internal"' not in answer.text, (document, answer.text)
                    yield operations[asked.route], document[:100], answer.text

    def _arguments(self, field: str, operation: Operation) -> Iterator[dict[str, object]]:
        first = {"first": 5} if SCHEMA.roots[field].question.is_paged else {}
        words = {"q": "zebulon" if "users" in operation.path else "zebra", "slug": "member", "number": "uploaded"}
        things: dict[str, object] = {**words, "torrent_id": self.own.id, "first": 1, "position": 1}
        needed = {name: things.get(name, self.hider.id) for name in required(field)}
        yield needed | first
        optional = [name for name, one in ROOTS[field].args.items() if str(one.type) == "ID"]
        yield from (needed | first | {name: self.hider.id} for name in optional)

    def _addresses(self, operation: Operation) -> Iterator[str]:
        required = [one["name"] for one in operation.parameters("query") if one["required"]]
        query = "&".join(f"{name}={'zebulon' if 'users' in operation.path else 'zebra'}" for name in required)
        of_users = [
            one["name"]
            for one in operation.parameters("query")
            if "uuid" in json.dumps(one["schema"]) and not one["required"]
        ]
        names = [one["name"] for one in operation.parameters("path")]
        for torrent_id in self.torrents if "torrent_id" in names else {self.own.id}:
            things = {"user_id": self.hider.id, "torrent_id": torrent_id, "slug": "member", "number": "uploaded"}
            path = operation.path.removeprefix("/api/v1").format_map({name: self.hider.id for name in names} | things)
            yield f"{path}?{query}"
            yield from (f"{path}?{query}&{name}={self.hider.id}" for name in of_users)


def planted(owner: psycopg.Connection[Any], user_id: UUID) -> Iterator[Marker]:
    """Give every number and moment of the user's rows in the read tables a value of its own."""
    columns = owner.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
        " WHERE c.table_schema = 'read' AND c.is_generated = 'NEVER'"
        " AND c.data_type IN ('bigint', 'integer', 'timestamp with time zone')"
        " AND EXISTS (SELECT FROM information_schema.columns u WHERE u.table_schema = 'read'"
        "             AND u.table_name = c.table_name AND u.column_name = 'user_id')"
        " AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        "                 AND a.attnum = ANY (i.indkey) WHERE i.indisprimary"
        "                 AND i.indrelid = format('read.%I', c.table_name)::regclass AND a.attname = c.column_name)"
        " ORDER BY 1, 2"
    ).fetchall()
    for number, (table, column, kind) in enumerate(columns):
        if column in BOOKKEEPING:
            continue
        value, texts = _value(kind, number)
        update = sql.SQL("UPDATE read.{} SET {} = %s WHERE user_id = %s AND {} IS NOT NULL")
        names = sql.Identifier(table), sql.Identifier(column), sql.Identifier(column)
        if owner.execute(update.format(*names), (value, user_id)).rowcount:
            yield Marker(f"{table}.{column}", texts)


def _value(kind: str, number: int) -> tuple[object, tuple[str, ...]]:
    """A value of that type, and what it looks like in JSON: points are counted in thousandths."""
    if kind == "timestamp with time zone":
        moment = datetime(2033, 5, 1, 4, 5, 6, tzinfo=UTC) + timedelta(microseconds=1000 * number + 7)
        return moment, (moment.isoformat().removesuffix("+00:00"),)
    value = 7_919_000_000_019 * (number + 3) if kind == "bigint" else 1_100_000_000 + 7919 * number
    return value, (str(value), repr(value / 1000))


@pytest.fixture
def site(client: Client, app: FastAPI, owner: psycopg.Connection[Any]) -> Site:
    return Site(client, app, owner)


@pytest.mark.engine
def test_nobody_reads_what_is_hidden(site: Site) -> None:
    member = site.viewers["member"]
    answers = [(address.startswith("{"), text) for _, address, text in site.answers(member)]
    for at_once in (False, True):
        texts = [text for is_document, text in answers if is_document is at_once]
        shown = {marker.column for marker in site.markers if any(marker.is_in(text) for text in texts)}
        assert shown >= {"user_stats.uploaded", "user_stats.ratio", "user_stats.seeding", "ledger_balance.balance"}
        assert shown >= {"peer.uploaded", "account.registered_at"}

    site.hide_everything()
    names = ("zebulon", str(site.hider.id))
    leaks: list[str] = []
    for group, viewer in site.viewers.items():
        staff = OVERRIDE in viewer.caller.permissions
        for operation, address, text in [] if staff else site.answers(viewer):
            leaks += [
                f"{group} reads {marker.column} at {address}"
                for marker in site.markers
                if marker.column not in OPEN and marker.is_in(text)
            ]
            asked_for = "{user_id}" in operation.path or operation.name in NAMING
            if not asked_for and any(name in text for name in names):
                leaks.append(f"{group} reads the name at {address}")
    assert leaks == [], "\n".join(leaks)


@pytest.mark.engine
def test_whoever_reads_it_all_the_same_is_told_that_it_is_hidden(site: Site) -> None:
    site.hide_everything()
    for slug in ("forum_moderator", "moderator", "administrator", "sysop"):
        staff = site.viewers[slug]
        stats = site.client.at_once("GET", f"/users/{site.hider.id}/stats", staff).json()
        assert stats["privacy"] == dict.fromkeys(marks(UserStats), "overridden")
        assert None not in [stats[name] for name in marks(UserStats)]
        (torrent,) = site.client.at_once("GET", f"/torrents?uploader={site.hider.id}", site.viewers[slug]).json()[
            "items"
        ]
        assert (torrent["uploader"]["username"], torrent["privacy"]) == ("zebulon", {"uploader": "overridden"})
    own = site.client.at_once("GET", f"/users/{site.hider.id}/stats", site.hider).json()
    assert own["privacy"] == {}
    assert None not in own.values()


def is_for_members(route: Route) -> bool:
    """Whether it answers any member about somebody else."""
    about_a_user = route.method == "GET" and "{user_id}" in route.path
    return about_a_user and expected(route, ROWS[route.name], "member", "others") == "200"


def answers(names: Collection[str]) -> set[type[BaseModel]]:
    """The models of the answers of these routes."""
    all_routes = [vars(route) for router in ROUTERS for route in router.routes]
    return {model for route in all_routes if route["name"] in names for model in models(route["response_model"])}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an answer is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for argument in get_args(annotation):
        yield from models(argument)


def is_number(annotation: Any) -> bool:
    """A number or a moment, or something that holds one."""
    if isinstance(annotation, type):
        return issubclass(annotation, int | float | date) and annotation is not bool
    return any(is_number(argument) for argument in get_args(annotation))


def test_every_number_about_a_user_is_registered() -> None:
    """Marked as private with its key, or named above with the reason why it is not. What only its user and staff see is
    not asked here: the right that shows it is in the rows of `tests/authorization`."""
    found = {
        f"{model.__name__}.{name}"
        for model in answers({route.name for route in routes() if is_for_members(route)})
        for name, field in model.model_fields.items()
        if is_number(field.annotation) and name not in marks(model) and not field.exclude
    }
    assert found == set(OPEN_FIELDS)


def test_whatever_is_private_can_be_null() -> None:
    private = [(model, name) for model in answers({route.name for route in routes()}) for name in marks(model)]
    assert private
    for model, name in private:
        assert type(None) in get_args(model.model_fields[name].annotation), (model, name)
