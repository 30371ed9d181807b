"""Searches and suggestions over the API, as PostgreSQL answers them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.given import Given
from tests.in_process import TestClient
from tests.members import Agent, Client
from tests.torrents.uploads import upload

pytestmark = pytest.mark.engine

TITLES = {
    "A Film About Ledgers": ("movies-hd", ["drama"]),
    "The Matrix 1999 1080p": ("movies-hd", ["scifi"]),
    "Amélie.2001.BluRay": ("movies-bluray", ["drama", "romance"]),
    "進撃の巨人": ("anime", ["drama"]),
    "C++ Primer": ("books-ebooks", ["code"]),
    ".hack//SIGN": ("anime", []),
}


@pytest.fixture
def member(client: Client, given: Given) -> Agent:
    """A member of a site with the torrents above, all approved, each larger than the one before."""
    for n, (name, (category, tags)) in enumerate(TITLES.items()):
        given.aggregates(upload(n, name=name, category=category, tags=tags, size=1000 + n, trusted=True))
    given.aggregates(upload(90, name="A Pending Ledger"))
    deleted = upload(91, name="A Deleted Ledger", tags=["deleted-tag"], trusted=True)
    deleted.delete("gone", by=deleted.id, staff=True, now=deleted.created_on)
    given.aggregates(deleted)
    return client.agent("member")


def names(answer: Any) -> list[str]:
    assert answer["engine"] == "postgresql"
    return [item["name"] for item in answer["items"]]


def test_words_are_found_in_spite_of_spelling(member: Agent) -> None:
    film, matrix, amelie, titan, primer, sign = TITLES
    expected = {
        "LEDGERS film": [film],
        "ledgres": [film],
        "matirx": [matrix],
        "matrx 1999": [matrix],
        "amelie": [amelie],
        "Ame\u0301lie bluray": [amelie],
        "撃の": [titan],
        "巨人": [titan],
        "c++": [primer],
        ".hack": [sign],
        "hack sign": [sign],
        "matr": [matrix],
        "rom": [amelie],
        "ﬁlm": [film],
        '"film about"': [film],
        '"about film"': [film],  # no such phrase, so by likeness
        "drama -film": [titan, amelie],
        "c++ primer": [primer],
    }
    assert {q: names(member.get("/search/torrents", q=q)) for q in expected} == expected


def test_what_is_not_approved_is_nowhere(member: Agent) -> None:
    for q in ("ledger", "pending", "deleted"):
        answer = member.get("/search/torrents", q=q)
        assert not {"A Pending Ledger", "A Deleted Ledger"} & set(names(answer))
        assert sum(answer["facets"].get("category", {}).values()) == len(answer["items"])
        suggested = [item["text"] for item in member.get("/search/suggest", q=q)["items"]]
        assert not {"A Pending Ledger", "A Deleted Ledger", "deleted-tag"} & set(suggested)


def test_facets_count_all_that_matches(member: Agent) -> None:
    answer = member.get("/search/torrents", q="drama", limit="1")
    assert answer["facets"] == {"category": {"anime": 1, "movies-bluray": 1, "movies-hd": 1}}
    assert len(answer["items"]) == 1


def test_filters_narrow_and_pages_continue(member: Agent) -> None:
    film, _, amelie, titan, *_ = TITLES
    assert names(member.get("/search/torrents", q="drama", category="movies")) == [amelie, film]
    assert names(member.get("/search/torrents", q="drama", category="nothing")) == []
    assert names(member.get("/search/torrents", q="drama", tag="Romance")) == [amelie]
    assert names(member.get("/search/torrents", q="drama", min_size="1001", max_size="1002")) == [amelie]
    assert names(member.get("/search/torrents", q="drama", free="true")) == []
    assert names(member.get("/search/torrents", q="drama", min_size=str(2**63 - 1))) == []
    for sort in ("relevance", "newest", "largest"):
        whole = names(member.get("/search/torrents", q="drama", sort=sort))
        first = member.get("/search/torrents", q="drama", sort=sort, limit="2")
        second = member.get("/search/torrents", q="drama", sort=sort, limit="2", cursor=first["next_cursor"])
        assert names(first) + names(second) == whole
        assert sorted(whole) == sorted([film, amelie, titan])
        assert second["next_cursor"] is None


def test_a_title_weighs_more_than_a_description(member: Agent, given: Given) -> None:
    given.aggregates(upload(50, name="Something Else", description="all about the matrix", trusted=True))
    assert names(member.get("/search/torrents", q="matrix")) == ["The Matrix 1999 1080p", "Something Else"]


def test_no_question_is_a_failure(member: Agent) -> None:
    hostile = ["' OR 1=1 --", "') OR 1=1", "_geoRadius(", "& | ! : *", "\\", "%", "a" * 256, "a " * 128]
    for q in ("", " ", "-", '"', "!!!", "😀", *hostile):
        for path in ("/search/torrents", "/search/suggest"):
            answer = member.send("GET", path, params={"q": q})
            assert answer.status_code == 200, q
            assert isinstance(answer.json()["items"], list)


def test_a_bad_question_is_refused(member: Agent) -> None:
    questions = (
        f"q={'a' * 257} q=a%00b q=%ed%a0%80 q=a&q=b nothing=1 q=a&sort=uploader_id q=a&state=pending q=a&limit=1000000"
        " q=a&min_size=-1 q=a&min_size=1_0 q=a&cursor=x q=a&offset=1000000000"
    )
    for question in questions.split():
        assert member.send("GET", f"/search/torrents?{question}").status_code == 422, question


def test_titles_and_tags_are_suggested(member: Agent) -> None:
    def suggested(q: str) -> list[tuple[str, str]]:
        return [(item["type"], item["text"]) for item in member.get("/search/suggest", q=q)["items"]]

    assert suggested("dra")[0] == ("tag", "drama")
    assert suggested("matr") == [("torrent", "The Matrix 1999 1080p")]
    assert suggested("matirx") == [("torrent", "The Matrix 1999 1080p")]


def test_searches_are_for_those_who_may_browse(client: Client, api: TestClient) -> None:
    waiting = client.agent("waiting", "validating")
    for path in ("/search/torrents", "/search/suggest"):
        assert waiting.send("GET", path, params={"q": "film"}).status_code == 403
        assert api.get(f"/api/v1{path}", params={"q": "film"}).status_code == 401
