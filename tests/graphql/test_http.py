"""How `/graphql` is asked and what it answers: rows H1 to H18 of bad inputs that concern the whole request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Response
from starlette.websockets import WebSocketDisconnect

from domain.api_keys import ApiKey, Scope
from domain.moderation import Case
from domain.requests import Request
from runtime.api import create_app
from runtime.api_keys import keep_key, new_key
from runtime.graphql import execution
from runtime.platform import Platform
from runtime.store import new_id
from tests.given import rows_of
from tests.graphql import trial
from tests.in_process import TestClient
from tests.members import Client, Member, Members

pytestmark = pytest.mark.engine

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api(shared_platform: Platform) -> Iterator[TestClient]:
    app: FastAPI = create_app(shared_platform)
    app.include_router(trial.router, prefix="/trial")
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def site(shared_platform: Platform, api: TestClient) -> Client:
    return Client(Members(shared_platform), api)


@pytest.fixture(scope="module")
def ada(site: Client) -> Member:
    return site.members.join("ada", points=5)


@pytest.fixture(scope="module")
def root(site: Client) -> Member:
    return site.members.join("root", "sysop")


def post(site: Client, who: Member | str, document: str, path: str = "/graphql", **options: Any) -> Response:
    headers = {"Authorization": f"Bearer {who}"} if isinstance(who, str) else who.headers
    body = {"query": document, "variables": options.pop("variables", None)}
    answer: Response = site.api.post(path, json=body, headers={**headers, **options.pop("headers", {})})
    return answer


def ask(site: Client, who: Member, document: str, **variables: object) -> Any:
    """The data of an answer without errors."""
    answer = post(site, who, document, variables={name: str(value) for name, value in variables.items()})
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


def test_one_document_asks_and_joins(site: Client, ada: Member) -> None:
    torrent = ada.uploads("A Film")
    site.members.catch_up()
    document = """query page($id: ID!, $n: Int64) {
        own_account { username bonus_points ledger(first: $n) { items { amount kind } } }
        torrent(torrent_id: $id) { name files { path } uploader { user { group stats { uploads bonus_points } } }
          peers { items { client } } history { items { at } } }
        torrents(first: $n) { items { ...named } next_cursor }
    }
    fragment named on TorrentItem { __typename title: name }"""
    shown = post(site, ada, document, variables={"id": str(torrent.id), "n": 1}).json()["data"]
    assert shown["own_account"] == {
        "username": "ada", "bonus_points": 5.0, "ledger": {"items": [{"amount": 5.0, "kind": "granted"}]},
    }  # fmt: skip
    stats = {"uploads": 1, "bonus_points": 5.0}
    assert shown["torrent"]["uploader"] == {"user": {"group": "member", "stats": stats}}
    assert shown["torrent"]["peers"] == shown["torrent"]["history"] == {"items": []}
    assert shown["torrents"]["items"] == [{"__typename": "TorrentItem", "title": "A Film"}]


def test_pages_follow_one_another(site: Client, root: Member) -> None:
    document = "query($c: String) { audit_entries(first: 3, cursor: $c) { items { position } next_cursor } }"
    positions, cursor = [], None
    for _ in range(3):
        page = post(site, root, document, variables={"c": cursor}).json()["data"]["audit_entries"]
        positions += [one["position"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert len(positions) == 9
    assert positions == sorted(positions, reverse=True)
    answer = post(site, root, "query($c: String) { torrents(cursor: $c) { next_cursor } }", variables={"c": cursor})
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["bad_cursor"]


def test_in_production_nothing_describes_the_schema(site: Client, ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    """H1"""
    document = "{ __schema { queryType { name } } }"
    assert ask(site, ada, document)["__schema"] == {"queryType": {"name": "Query"}}
    settings = site.platform.settings
    telemetry = settings.telemetry.model_copy(update={"environment": "production"})
    monkeypatch.setattr(site.platform, "settings", settings.model_copy(update={"telemetry": telemetry}))
    assert post(site, ada, document).json()["code"] == "invalid_document"
    with TestClient(create_app(site.platform)) as production:
        assert production.get("/graphql/playground").status_code == 404


def test_only_one_json_object_is_a_question(site: Client, ada: Member) -> None:
    """H4, H5"""
    good = '{"query": "{ groups { next_cursor } }"}'
    for body, status, code in (
        (f"[{good}, {good}]", 422, "invalid"),
        (good[:-1] + ', "extensions": {"persistedQuery": {"sha256Hash": "00"}}}', 422, "unknown_field"),
        ('{"id": "00"}', 422, "unknown_field"),
        ("", 422, "invalid"),
        ('{"query": "' + "#" * 2**17 + '"}', 413, "body_too_large"),
        ('{"query": "{ groups { next_cursor } }", "variables": {"a": NaN}}', 422, "number_out_of_range"),
    ):
        answer = site.api.post("/graphql", content=body, headers={**ada.headers, **JSON})
        assert (answer.status_code, answer.json()["code"]) == (status, code), body[:50]
    forms = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
    for kind in ("text/plain", "application/graphql", *forms):
        answer = site.api.post("/graphql", content=good, headers={**ada.headers, "Content-Type": kind})
        assert answer.status_code == 415
    by_get = site.api.get("/graphql", params={"query": "{ groups { next_cursor } }"}, headers=ada.headers)
    assert by_get.status_code == 405


def test_there_is_no_socket(site: Client, ada: Member) -> None:
    """H12"""
    for protocol in ("graphql-ws", "graphql-transport-ws"):
        with pytest.raises(WebSocketDisconnect):
            site.api.websocket_connect("/graphql", [protocol], headers=ada.headers).__enter__()


def test_what_is_hidden_is_null_wherever_it_is_asked_for(site: Client, ada: Member, root: Member) -> None:
    """H8: a pending upload, as itself, in lists and counts, by search, and from what refers to it."""
    eve, bob = site.members.join("eve"), site.members.join("bob")
    pending = bob.uploads("Zanzibar", listed=False)
    wish = Request.open(new_id(), eve.id, "A wish", "", "books")
    wish.add_bounty(eve.id, 1000)
    shown = bob.uploads("Zaragoza")
    wish.fill(bob.id, shown)
    bob.store.save(wish)
    shown = site.platform.history.aggregate(type(shown), shown.id)
    shown.delete("r", by=bob.id, staff=False, now=datetime.now(UTC))
    case = Case.open(new_id(), "torrent", pending.id, eve.id)  # whom it is about sees it
    bob.store.save(case, shown)
    site.members.catch_up()
    document = """query($id: ID!, $no: ID!, $wish: ID!, $case: ID!) {
        torrent(torrent_id: $id) { name } absent: torrent(torrent_id: $no) { name }
        torrents(first: 100) { items { id } } by_name: search_torrents(q: "Zanzibar") { items { id } facets }
        suggest(q: "Zanz") { items { text } } of_bob: torrents(uploader: $no) { items { id } }
        request(request_id: $wish) { torrent_id torrent { name } }
        case(case_id: $case) { subject { id torrent { name } } }
        peers(torrent_id: $id) { items { client } } torrent_history(torrent_id: $id) { items { at } } }"""
    ids = {"id": pending.id, "no": new_id(), "wish": wish.id, "case": case.id}
    hidden = ask(site, eve, document, **ids)
    assert hidden["torrent"] is hidden["absent"] is hidden["peers"] is hidden["torrent_history"] is None
    assert str(pending.id) not in str([hidden["torrents"], hidden["by_name"], hidden["suggest"]])
    assert hidden["by_name"] == {"items": [], "facets": {"category": {}}}
    assert hidden["request"]["torrent"] is hidden["case"]["subject"]["torrent"] is None
    staff = ask(site, root, document, **ids)
    assert staff["torrent"] == staff["case"]["subject"]["torrent"] == {"name": "Zanzibar"}
    assert staff["request"]["torrent"] == {"name": "Zaragoza"}


def test_personal_things_of_others_are_null_on_every_path(site: Client, ada: Member, root: Member) -> None:
    """H9"""
    person = "{ username email email_verified two_factor leeching_suspended }"
    document = f"""query($ada: ID!) {{ user(user_id: $ada) {person}
        torrents {{ items {{ uploader {{ user {person} }} }} }} }}"""
    mallory = site.members.join("mallory")
    ada.uploads("Another Film")
    site.members.catch_up()
    nothing = {"email": None, "email_verified": None, "two_factor": None, "leeching_suspended": None}
    own, senior = {"email": "ada@example.org", "two_factor": False}, {"email": None, "two_factor": False}
    for who, seen in ((mallory, nothing), (ada, own), (root, senior)):
        shown = ask(site, who, document, ada=ada.id)
        joined = [one["uploader"]["user"] for one in shown["torrents"]["items"] if one["uploader"]]
        assert shown["user"] in joined
        assert shown["user"].items() >= ({"username": "ada"} | seen).items()


def test_an_error_in_one_field_leaves_the_others(site: Client, ada: Member) -> None:
    """H11, H14"""
    document = (
        "{ good { name } refused { name } broken { name } writing { name } again: good { name } moment { name } }"
    )
    answer = post(site, ada, document, "/trial/graphql")
    shown = answer.json()
    assert answer.status_code == 200
    nothing = {"refused": None, "broken": None, "writing": None}
    assert shown["data"].pop("moment")["name"]
    assert shown["data"] == {"good": {"name": "good"}, "again": {"name": "good"}, **nothing}
    told = {error["path"][0]: (error["extensions"]["code"], error["message"]) for error in shown["errors"]}
    ours = ("internal", "something went wrong on our side")
    assert told == {"refused": ("out_of_order", "it is out of order"), "broken": ours, "writing": ours}
    assert "SELECT" not in answer.text
    assert "Traceback" not in answer.text
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.session") != [(0,)]


def test_a_join_that_finds_nothing_or_is_refused_leaves_the_list(site: Client, ada: Member) -> None:
    shown = post(site, ada, "{ things { items { name double { name double { name } } } } }", "/trial/graphql").json()
    assert "errors" not in shown
    doubles = [one["double"] for one in shown["data"]["things"]["items"]]
    assert doubles == [None, {"name": "bb", "double": None}, None]
    shown = post(site, ada, "{ things { items { name refused { name } } } }", "/trial/graphql").json()
    assert [one["refused"] for one in shown["data"]["things"]["items"]] == [None] * 3
    assert {error["extensions"]["code"] for error in shown["errors"]} == {"out_of_order"}


def test_what_takes_too_long_is_given_up(site: Client, ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    """H13: and its connection serves the next one as if nothing had been."""
    monkeypatch.setattr(execution, "WAIT_S", 0.2)
    answer = post(site, ada, "{ good { name } slow { name } }", "/trial/graphql")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_slow")
    assert answer.headers["retry-after"] == "1"
    with site.platform.query_pool.connection() as connection:
        assert connection.execute("SELECT current_setting('statement_timeout')").fetchone() == ("30s",)
        assert connection.execute("SELECT current_setting('transaction_isolation')").fetchone() == ("read committed",)
    assert ask(site, ada, "{ groups { items { slug } } }")["groups"]["items"]
    monkeypatch.setattr(execution, "WAIT_S", -1.0)
    answer = post(site, ada, "{ good { name } }", "/trial/graphql")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_slow")


def test_all_of_a_document_is_of_one_moment(site: Client, ada: Member) -> None:
    """H16"""
    fields = " ".join(f"m{n}: moment {{ name }}" for n in range(5))
    shown = post(site, ada, f"{{ {fields} }}", "/trial/graphql").json()["data"]
    assert len({one["name"] for one in shown.values()}) == 1


def test_a_document_waits_for_the_position_that_the_caller_names(site: Client, ada: Member) -> None:
    """H16"""
    torrent = ada.uploads("Newest")
    position = site.platform.history.recorder.max_notification_id()
    document, variables = "query($id: ID!) { torrent(torrent_id: $id) { name } }", {"id": str(torrent.id)}
    headers = {"X-Min-Position": str(position)}
    behind = post(site, ada, document, variables=variables, headers=headers)
    assert (behind.status_code, behind.json()["code"]) == (503, "projection_behind")
    assert behind.headers["retry-after"] == "1"
    untouched = post(site, ada, "{ groups { items { slug } } }", headers=headers)
    assert untouched.status_code == 200
    site.members.catch_up()
    answer = post(site, ada, document, variables=variables, headers=headers)
    assert answer.json()["data"] == {"torrent": {"name": "Newest"}}


def test_one_connection_is_enough_for_a_document(site: Client, ada: Member, root: Member) -> None:
    """What is replayed from histories is read from connections of its own: never while holding the document's."""
    case = Case.open(new_id(), "user", ada.id, ada.id)
    root.store.save(case)
    site.members.catch_up()
    document = """query($case: ID!, $ada: ID!) { groups { items { slug } }
        case(case_id: $case) { state subject { user { username } } history { items { type } state { state } } }
        permissions(user_id: $ada) { items { held } } cases { items { id } } notes(user_id: $ada) { items { text } }
        own_sessions { items { current } } group_history(slug: "member") { items { type } }
        user(user_id: $ada) { username stats { uploads } } }"""
    with ExitStack() as taken:
        for pool in (site.platform.pool, site.platform.query_pool):
            for _ in range(pool.max_size - 1):
                taken.enter_context(pool.connection())
        shown = ask(site, root, document, case=case.id, ada=ada.id)
    assert shown["case"]["history"] == {"items": [{"type": "case.opened"}], "state": {"state": "open"}}
    assert shown["case"]["subject"]["user"] == {"username": "ada"}
    assert None not in shown.values()


def test_answers_are_kept_nowhere(site: Client, ada: Member) -> None:
    """H15"""
    answer = post(site, ada, "{ own_account { username } }", headers={"X-Request-ID": "asked-once"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"] == "asked-once"
    assert "etag" not in answer.headers


def test_nobody_asks_without_a_session_or_a_key_that_reads(site: Client, ada: Member) -> None:
    document = "{ own_account { username passkey } own_passkey { passkey } }"
    assert site.api.post("/graphql", json={"query": document}).status_code == 401
    for scopes, status in (([Scope.READ], 200), ([Scope.WRITE], 200), ([Scope.REQUESTS], 403)):
        answer = post(site, _key(ada, scopes), document)
        assert answer.status_code == status, answer.text
        if status == 200:  # and what is for who signed in stays so
            assert answer.json()["data"] == {"own_account": {"username": "ada", "passkey": None}, "own_passkey": None}
            assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["sign_in_required"]


def _key(member: Member, scopes: list[Scope]) -> str:
    key, issued = new_key(), ApiKey.issue(new_id(), member.id, "k", scopes)
    now = datetime.now(UTC)
    member.store.save(issued, beside=lambda cursor: keep_key(cursor, issued.id, member.id, key, issued.scopes, now))
    return key


def test_a_refusal_is_a_problem_in_the_shape_that_clients_of_graphql_read(site: Client, ada: Member) -> None:
    answer = post(site, ada, "{ groups { nothing } }")
    assert answer.headers["content-type"] == "application/problem+json"
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["code"]) == (400, 400, "invalid_document")
    assert shown["request_id"] == answer.headers["x-request-id"]
    assert shown["errors"] == [
        {
            "field": "query",
            "message": "Cannot query field 'nothing' on type 'GroupItemPage'.",
            "locations": [{"line": 1, "column": 12}],
            "extensions": {"code": "invalid_document"},
        }
    ]
