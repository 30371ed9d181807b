"""Searches with Meilisearch: what it is told, what it is asked, and what happens while it is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from domain.torrents import Torrent
from projections.search import TorrentDocuments, open_sender, search
from projections.torrents import torrents
from runtime.platform import Platform
from runtime.search import MeiliIndex, SearchAway, Sender, standing
from runtime.settings import Search, Settings
from tests.given import Given, projected, rows_of
from tests.members import Agent, Client
from tests.search.meilisearch import Meilisearch, serving
from tests.site import eventually
from tests.torrents.uploads import upload

pytestmark = pytest.mark.engine


@pytest.fixture
def server() -> Iterator[Meilisearch]:
    with serving() as server:
        yield server


@pytest.fixture
def settings(settings: Settings, server: Meilisearch) -> Settings:
    return settings.model_copy(update={"search": Search(url=server.url)})


@pytest.fixture
def sender(platform: Platform, server: Meilisearch) -> Sender:
    sender = open_sender(platform.projector_pool, platform.settings)
    assert sender is not None
    return sender


@pytest.fixture
def member(client: Client) -> Agent:
    return client.agent("member")


@pytest.fixture
def two(given: Given) -> tuple[Torrent, Torrent]:
    first = upload(1, name="A Film About Ledgers", trusted=True)
    second = upload(2, name="Another Film", category="tv-hd", tags=["crime"], size=5000, trusted=True)
    given.aggregates(first, second, upload(3, name="A Pending Film"))
    projected(given.platform, torrents, search)
    return first, second


def ids(answer: Any) -> list[str]:
    assert answer["engine"] == "meilisearch"
    return [item["id"] for item in answer["items"]]


def test_the_index_is_told_of_approved_torrents_only(
    server: Meilisearch, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    assert sender.send() == 3
    assert set(server.documents()) == {str(one.id) for one in two}
    assert sender.send() == 0
    assert server.indexes["torrents"]["settings"] == TorrentDocuments.settings


def test_what_is_deleted_leaves_the_index(
    server: Meilisearch, sender: Sender, given: Given, two: tuple[Torrent, Torrent]
) -> None:
    first, second = two
    sender.send()
    first.delete("gone", by=first.id, staff=True, now=first.created_on)
    given.aggregates(first)
    assert sender.send() == 0  # nobody is told what is not projected yet
    projected(given.platform, torrents)
    assert sender.send() == 0
    projected(given.platform, search)
    assert sender.send() == 1
    assert set(server.documents()) == {str(second.id)}


def test_a_search_is_answered_by_the_index(
    server: Meilisearch, sender: Sender, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    first, second = (str(one.id) for one in two)
    sender.send()
    found = member.get("/search/torrents", q="ledgres")
    assert ids(found) == [first]
    assert found["facets"] == {"category": {"movies-hd": 1}}
    assert found["items"][0]["name"] == "A Film About Ledgers"
    assert ids(member.get("/search/torrents", q="film", sort="largest")) == [second, first]
    assert ids(member.get("/search/torrents", q="film", category="tv")) == [second]
    assert ids(member.get("/search/torrents", q="film", category="none")) == []
    assert ids(member.get("/search/torrents", q="film", tag="crime", min_size="2", max_size="5000")) == [second]
    assert ids(member.get("/search/torrents", q="film", free="true")) == []
    assert ids(member.get("/search/torrents", q="film", free="false", sort="newest", limit="2")) != []
    page = member.get("/search/torrents", q="film", limit="1")
    rest = member.get("/search/torrents", q="film", limit="1", cursor=page["next_cursor"])
    assert {*ids(page), *ids(rest)} == {first, second}
    assert rest["next_cursor"] is None
    assert {item["text"] for item in member.get("/search/suggest", q="film")["items"]} == {
        "A Film About Ledgers",
        "Another Film",
    }


def test_hostile_values_stay_values(
    server: Meilisearch, sender: Sender, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    sender.send()
    for value in ('x" OR id EXISTS', "x' OR 1=1", "_geoRadius(1,1,1)", "\\"):
        assert ids(member.get("/search/torrents", q="film", tag=value)) == []
        assert server.searches[-1]["filter"][0].startswith('tags = "')


def test_what_was_deleted_a_moment_ago_is_not_shown(
    sender: Sender, given: Given, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    first, second = two
    sender.send()
    first.delete("gone", by=first.id, staff=True, now=first.created_on)
    given.aggregates(first)
    assert ids(member.get("/search/torrents", q="film")) == [str(second.id)]


def test_until_everything_was_sent_postgresql_answers(
    sender: Sender, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    before = member.get("/search/torrents", q="ledgres")
    assert (before["engine"], len(before["items"])) == ("postgresql", 1)
    sender.send()
    assert member.get("/search/torrents", q="ledgres")["engine"] == "meilisearch"


def test_who_waits_for_a_position_is_answered_by_whoever_has_reached_it(
    sender: Sender, given: Given, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    sender.send()
    position = given.aggregates(upload(4, name="A Third Film", trusted=True))
    for engine in ("postgresql", "meilisearch"):
        answer = member.send("GET", "/search/torrents", {"X-Min-Position": str(position)}, params={"q": "third"})
        assert (answer.json()["engine"], len(answer.json()["items"])) == (engine, 1)
        sender.send()


def test_while_the_server_is_away_postgresql_answers(
    server: Meilisearch, sender: Sender, member: Agent, two: tuple[Torrent, Torrent]
) -> None:
    sender.send()
    page = member.get("/search/torrents", q="film", limit="1")
    asked = len(server.searches)
    server.fail = True
    for path in ("/search/torrents", "/search/suggest"):
        answer = member.get(path, q="ledgres")
        assert (answer["engine"], len(answer["items"])) == ("postgresql", 1)
    refused = member.send("GET", "/search/torrents", params={"q": "film", "limit": "1", "cursor": page["next_cursor"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "engine_changed")
    server.fail = False
    assert member.get("/search/torrents", q="ledgres")["engine"] == "postgresql"  # it is avoided for some seconds
    assert len(server.searches) == asked


def test_nothing_is_lost_while_the_server_is_away(
    server: Meilisearch, platform: Platform, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    server.fail = True
    with pytest.raises(SearchAway):
        sender.send()
    assert "out of order" in rows_of(platform, "SELECT error FROM es.search_index")[0][0]
    server.fail = False
    assert sender.send() == 3
    assert rows_of(platform, "SELECT error, caught_up_at IS NULL FROM es.search_index") == [(None, False)]
    assert len(server.documents()) == 2


def test_an_emptied_server_is_filled_again(
    server: Meilisearch, sender: Sender, given: Given, two: tuple[Torrent, Torrent]
) -> None:
    sender.send()
    server.indexes.clear()
    given.aggregates(upload(4, trusted=True))
    projected(given.platform, torrents, search)
    with pytest.raises(SearchAway):
        sender.send()
    assert sender.send() == 4
    assert len(server.documents()) == 3


def test_a_refused_document_stops_no_other(server: Meilisearch, sender: Sender, two: tuple[Torrent, Torrent]) -> None:
    first, second = two
    server.refuse = {str(first.id)}
    assert sender.send() == 3
    assert set(server.documents()) == {str(second.id)}


def test_small_batches_come_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch, server: Meilisearch, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    monkeypatch.setattr("runtime.search.BATCH", 1)
    assert [sender.send() for _ in range(4)] == [1, 1, 1, 0]
    assert len(server.documents()) == 2


def test_only_one_sender_works_at_a_time(
    server: Meilisearch, platform: Platform, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    other = open_sender(platform.projector_pool, platform.settings)
    assert other is not None
    with sender._alone() as connection:
        assert connection is not None
        assert other.send() == 0
    assert other.send() == 3


def test_a_resync_exchanges_the_whole_index(
    server: Meilisearch, platform: Platform, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    sender.send()
    server.documents()["stray"] = {"id": "stray"}
    del server.documents()[str(two[0].id)]
    assert sender.resync() == 3
    assert set(server.documents()) == {str(one.id) for one in two}
    assert set(server.indexes) == {"torrents"}
    with platform.pool.connection() as connection:
        assert standing(connection, "torrents").complete
    assert sender.send() == 0


def test_a_running_sender_follows_until_it_is_stopped(
    server: Meilisearch, sender: Sender, two: tuple[Torrent, Torrent]
) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: "torrents" in server.indexes and len(server.documents()) == 2, 10, "both are found")
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


def test_without_a_url_nothing_is_sent(platform: Platform) -> None:
    assert open_sender(platform.projector_pool, platform.settings.model_copy(update={"search": Search()})) is None


def test_health_is_what_the_server_says(server: Meilisearch) -> None:
    index = MeiliIndex(server.url, "", "torrents")
    assert index.healthy()
    server.fail = True
    assert not index.healthy()
    assert not MeiliIndex("http://127.0.0.1:1", "", "torrents").healthy()
