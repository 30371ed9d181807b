"""Feeds: what a reader with a key gets, that its links work in a torrent client, and when they stop."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from httpx import Response

from domain.metainfo import parse
from runtime.masking import mask_text
from tests.bans.callers import Site, refusal
from tests.members import Agent, Member
from tests.torrents.uploads import file_of

pytestmark = pytest.mark.engine


def feed_url(site: Site, member: Member, query: str = "") -> str:
    (url,) = site.send("GET", "/users/me/rss-key", member).json()["feed_urls"]
    return _path(url) + query


def read(site: Site, url: str, if_none_match: str | None = None) -> Response:
    """As a feed reader does: without any header of ours."""
    site.members.catch_up()
    headers = {} if if_none_match is None else {"If-None-Match": if_none_match.encode()}
    answer: Response = site.api.get(_path(url), headers=headers)
    return answer


def items(answer: Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/rss+xml"
    rss = ElementTree.fromstring(answer.content)
    assert (rss.tag, rss.attrib) == ("rss", {"version": "2.0"})
    return [{part.tag: part.text or part.attrib for part in item} for item in rss.iterfind("channel/item")]


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def two(site: Site) -> list[Any]:
    """Two uploads that are listed, the newer one with a title that XML has to escape."""
    vip = Agent(site, site.members.join("victor", "vip"))
    return [vip.uploaded("first"), vip.uploaded("second", name="R&B <live>", category="music-flac")]


def test_a_reader_gets_the_newest_with_links_that_work(site: Site, two: list[Any]) -> None:
    alice = site.members.join("alice")
    found = items(read(site, feed_url(site, alice)))
    assert [(item["title"], item["guid"], item["category"]) for item in found] == [
        ("R&B <live>", two[1]["id"], "music-flac"),
        ("first", two[0]["id"], "movies-hd"),
    ]
    for item, receipt in zip(found, reversed(two), strict=True):
        assert item["enclosure"]["type"] == "application/x-bittorrent"
        got = read(site, item["enclosure"]["url"])
        assert got.status_code == 200
        assert item["enclosure"]["length"] == str(len(got.content))
        assert parse(got.content).info_hash_v1.hex() == receipt["info_hash_v1"]  # type: ignore[union-attr]
        by_hand = site.send("GET", f"/torrents/{receipt['id']}/download", alice)
        assert got.content == by_hand.content


def test_a_feed_is_narrowed(site: Site, two: list[Any]) -> None:
    url = feed_url(site, site.members.join("alice"))
    assert [item["guid"] for item in items(read(site, f"{url}&category=music"))] == [two[1]["id"]]
    assert [item["guid"] for item in items(read(site, f"{url}&limit=1"))] == [two[1]["id"]]
    assert items(read(site, f"{url}&free=true")) == []
    assert items(read(site, f"{url}&category=nothing")) == []


def test_a_reader_that_has_the_feed_is_told_so_until_it_is_another_one(site: Site, two: list[Any]) -> None:
    url = feed_url(site, site.members.join("alice"))
    first = read(site, url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    newest = parsedate_to_datetime(items(first)[0]["pubDate"])
    assert parsedate_to_datetime(first.headers["last-modified"]) == newest
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = read(site, url, sent)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["last-modified"] == first.headers["last-modified"]
    for sent in ("", '"other"', tag.strip('"'), f"{tag[:-2]}", '"é'):
        assert read(site, url, sent).status_code == 200
    assert read(site, f"{url}&limit=1", tag).status_code == 200
    assert read(site, feed_url(site, site.members.join("bob")), tag).status_code == 200, "her links are not his"
    moderator = site.members.join("moda", "moderator")
    site.send("DELETE", f"/torrents/{two[0]['id']}", moderator, {"reason": "dupe"})
    changed = read(site, url, tag)
    assert (changed.status_code, len(items(changed))) == (200, 1)
    assert changed.headers["etag"] != tag


def test_a_feed_without_torrents_has_a_tag_and_no_date(site: Site) -> None:
    url = feed_url(site, site.members.join("alice"))
    empty = read(site, url)
    assert "last-modified" not in empty.headers
    assert read(site, url, empty.headers["etag"]).status_code == 304


def test_a_copy_that_names_a_second_tracker_is_as_long_as_the_feed_says(site: Site, two: list[Any]) -> None:
    edge = site.platform.settings.edge.model_copy(update={"udp_in_torrents": True})
    site.platform.settings = site.platform.settings.model_copy(update={"edge": edge})
    for item in items(read(site, feed_url(site, site.members.join("alice")))):
        got = read(site, item["enclosure"]["url"]).content
        assert b"13:announce-list" in got
        assert item["enclosure"]["length"] == str(len(got))


def test_what_is_not_listed_is_in_no_feed(site: Site) -> None:
    alice = Agent(site, site.members.join("alice"))
    alice.uploaded("waits for the staff")
    moderator = site.members.join("moda", "moderator")
    assert items(read(site, feed_url(site, moderator))) == []


def test_a_link_opens_its_torrent_only(site: Site, two: list[Any]) -> None:
    found = items(read(site, feed_url(site, site.members.join("alice"))))
    link = _path(found[0]["enclosure"]["url"])
    key = link.partition("key=")[2]
    assert read(site, link).status_code == 200
    for other in (
        link.replace(two[1]["id"], two[0]["id"]),
        f"/api/v1/rss/torrents?key={key}",
        f"/api/v1/rss/torrents?key={key}&torrent_id={two[1]['id']}",
    ):
        assert refusal(read(site, other)) == (401, "unauthenticated")


def test_a_feed_key_opens_nothing_but_feeds(site: Site, two: list[Any]) -> None:
    key = feed_url(site, site.members.join("alice")).partition("key=")[2]
    for path in ("/users/me", "/torrents", f"/torrents/{two[0]['id']}/download"):
        assert site.api.get(f"/api/v1{path}?key={key}").status_code == 401
        assert site.at_once("GET", path, key).status_code == 401


def test_a_reset_ends_feed_and_links_and_leaves_the_passkey_alone(site: Site, two: list[Any]) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    urls = [feed_url(site, alice), items(read(site, feed_url(site, alice)))[0]["enclosure"]["url"]]
    others = feed_url(site, bob)
    passkey = site.send("GET", "/users/me/passkey", alice).json()
    site.send("POST", "/users/me/rss-key/reset", alice)
    assert [read(site, url).status_code for url in (*urls, others)] == [401, 401, 200]
    assert site.send("GET", "/users/me/passkey", alice).json() == passkey
    assert len(items(read(site, feed_url(site, alice)))) == 2
    site.send("POST", "/users/me/passkey/reset", alice)
    assert read(site, feed_url(site, alice)).status_code == 200


def test_who_is_shut_out_reads_no_feed(site: Site, two: list[Any]) -> None:
    moderator, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    urls = [feed_url(site, alice), items(read(site, feed_url(site, alice)))[0]["enclosure"]["url"]]
    site.ban(moderator, alice)
    assert [refusal(read(site, url)) for url in urls] == [(403, "account_banned")] * 2


@pytest.mark.parametrize("key", ["", "x", "rss_" + "A" * 43, "rss_" + "A" * 300])
def test_what_is_no_feed_key_opens_nothing(site: Site, key: str) -> None:
    assert site.api.get(f"/api/v1/rss/torrents?key={key}").status_code == 401


def test_a_key_is_masked_by_its_looks(site: Site) -> None:
    url = feed_url(site, site.members.join("alice"))
    key = url.partition("key=")[2]
    assert key[8:] not in mask_text(f"GET {url} HTTP/1.1")
    assert key[8:] not in mask_text(key)


def test_a_file_without_a_feed_has_the_same_hash(two: list[Any]) -> None:
    assert parse(file_of("first")).info_hash_v1.hex() == two[0]["info_hash_v1"]  # type: ignore[union-attr]
