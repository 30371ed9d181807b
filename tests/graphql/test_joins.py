"""Lists are joined in as many statements as there are joins, however long they are (H18)."""

from __future__ import annotations

from typing import Any

import graphql
import psycopg
import pytest

from domain.moderation import Case
from domain.requests import Request
from queries import SCHEMA
from runtime.graphql import route
from runtime.store import new_id
from tests.graphql.documents import ROOTS, alone, required, whole
from tests.members import Client, Member

pytestmark = pytest.mark.engine

#: How many rows every list has at least whose members lead to others.
MANY = 20
#: Of everything there is in a list, as deep as twenty of it may be asked at once.
DEPTH = 7
MAX_STATEMENTS = 12
#: Whose first two rows lead to less than the first twenty: entries about a torrent, a user, a request.
MIXED = ("audit_entries", "own_reports", "cases")
LISTS = [name for name, asked in SCHEMA.roots.items() if asked.question.is_paged]


@pytest.fixture(scope="module")
def site(shared_client: Client) -> tuple[Client, Member]:
    """Twenty members with an upload, a filled request and a case each, and a sysop."""
    client = shared_client
    for n in range(MANY):
        member, other = (client.members.join(f"{name}{n}") for name in ("m", "o"))
        torrent, wish = other.uploads(f"A Film {n}"), Request.open(new_id(), member.id, "A wish", "", "books")
        wish.add_bounty(member.id, 1000)
        wish.add_bounty(other.id, 2000)
        wish.fill(other.id, torrent)
        cases = [
            Case.open(new_id(), kind, one, other.id) for kind, one in (("torrent", torrent.id), ("user", other.id))
        ]
        member.store.save(wish, *cases)
    client.members.catch_up()
    return client, client.members.join("root", "sysop")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What resolvers send to PostgreSQL; how the caller is looked up is no concern of theirs."""
    sent: list[str] = []
    resolving: list[bool] = []
    execute, resolve = psycopg.Cursor.execute, graphql.execute_sync

    def counted(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.extend([str(query)] * bool(resolving and query))
        return execute(cursor, query, *args, **options)

    def resolved(*args: Any, **options: Any) -> Any:
        resolving.append(True)
        try:
            return resolve(*args, **options)
        finally:
            resolving.clear()

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    monkeypatch.setattr(route, "execute_sync", resolved)
    return sent


@pytest.mark.parametrize("field", LISTS)
def test_a_list_takes_no_more_statements_for_more_rows(
    site: tuple[Client, Member], statements: list[str], field: str
) -> None:
    client, root = site
    words = ("q", "slug", "number")
    given: dict[str, object] = {name: "film" if name in words else root.id for name in required(field)}
    for document, longer in zip(*(whole(field, {**given, "first": rows}, DEPTH) for rows in (2, MANY)), strict=True):
        _answered(client, root, document, statements)  # whatever is looked up once in a process
        few, _ = _answered(client, root, document, statements)
        many, answer = _answered(client, root, longer, statements)
        assert len(many) <= MAX_STATEMENTS, many
        if field not in MIXED and len((answer["data"][field] or {}).get("items", ())) >= MANY:
            assert len(few) == len(many), many


def _answered(client: Client, who: Member, document: str, statements: list[str]) -> tuple[list[str], Any]:
    """What was sent to the server for an answer, and the answer."""
    statements.clear()
    answer = client.api.post("/graphql", json={"query": document}, headers=who.headers)
    assert answer.status_code == 200, answer.text
    assert '"internal"' not in answer.text
    return list(statements), answer.json()


def test_the_lists_that_lead_on_have_many_rows(site: tuple[Client, Member]) -> None:
    """Else the test above would compare nothing."""
    client, root = site
    fields = ("torrents", "search_torrents", "requests", "cases", "audit_entries", "users")
    for field in fields:
        given = {"first": MANY} | ({"q": "film"} if "q" in ROOTS[field].args else {})
        answer = client.api.post("/graphql", json={"query": alone(field, given)}, headers=root.headers).json()
        assert len(answer["data"][field]["items"]) == MANY, field


def test_everybody_is_joined_to_its_own(site: tuple[Client, Member]) -> None:
    client, root = site
    document = """{ requests(first: 20) { items { requester { id user { id username } } torrent_id
        filler { id user { id stats { id } } } bounties { amount contributor { id user { id } } }
        torrent { id uploader { id user { id } } } } } }"""
    answer = client.api.post("/graphql", json={"query": document}, headers=root.headers).json()
    assert "errors" not in answer
    for one in answer["data"]["requests"]["items"]:
        assert one["torrent"]["id"] == one["torrent_id"]
        assert one["torrent"]["uploader"]["user"]["id"] == one["filler"]["id"] == one["filler"]["user"]["stats"]["id"]
        assert [bounty["amount"] for bounty in one["bounties"]] == [2.0, 1.0]
        people = [one["requester"], one["filler"], *(bounty["contributor"] for bounty in one["bounties"])]
        assert all(person["user"]["id"] == person["id"] for person in people)
    requesters = [one["requester"]["user"]["username"] for one in answer["data"]["requests"]["items"]]
    assert requesters == [f"m{n}" for n in reversed(range(MANY))]


def test_a_subject_leads_to_what_it_is(site: tuple[Client, Member]) -> None:
    client, root = site
    document = "{ cases(first: 4) { items { subject { type id torrent { id } user { id } request { id } } } } }"
    answer = client.api.post("/graphql", json={"query": document}, headers=root.headers).json()
    subjects = [one["subject"] for one in answer["data"]["cases"]["items"]]
    assert {one["type"] for one in subjects} == {"torrent", "user"}
    for one in subjects:
        assert {kind for kind in ("torrent", "user", "request") if one[kind]} == {one["type"]}
        assert one[one["type"]]["id"] == one["id"]
