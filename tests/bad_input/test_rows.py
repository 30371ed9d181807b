"""Bad inputs that no schema speaks of: ids of other kinds, uploads cut short, odd forms, races, the ends of time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from httpx import Response
from psycopg import sql

from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from domain.peers import EdgeJournal
from runtime import journal
from tests.bad_input.site import Site
from tests.given import rows_of
from tests.torrents.uploads import file_of

PART = b'--x\r\nContent-Disposition: form-data; name="category"\r\n\r\n%b\r\n--x--\r\n'


def send(site: Site, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
    """One request by the sysop."""
    answer: Response = site.client.request(
        method, f"/api/v1{path}", headers={**site.sysop.headers, **(headers or {})}, **options
    )
    return answer


def upload(site: Site, name: str) -> str:
    """The id of a new torrent."""
    answer = send(site, "POST", "/torrents", files={"file": ("x", file_of(name))}, data={"category": "movies-hd"})
    assert answer.status_code == 201, answer.text
    site.catch_up()
    return str(answer.json()["id"])


def a_log(site: Site) -> UUID:
    """The stream of an edge's journal that has shipped one announce."""
    now = datetime.now(UTC)
    announce = Announce(
        received_at_us=int(now.timestamp() * 1_000_000),
        user_id=site.member.id.bytes,
        torrent_id=site.things["torrent_id"].bytes,
        peer_id=b"-LT2110-" + b"A" * 12,
        event=Event.STARTED,
        uploaded=0,
        downloaded=0,
        left=0,
        address=bytes([203, 0, 113, 1]),
        port=6881,
        key=0,
    )
    segment = journal.seal("edge-1", 1, 1, now, now, journal.GENESIS, encode([announce]))
    stream_id = EdgeJournal.stream_id("edge-1")
    site.platform.store(SYSTEM, "edge").record(
        EdgeJournal.SegmentsRecorded,
        stream_id,
        beside=lambda cursor: journal.insert(cursor, segment),
        edge_id="edge-1",
        first_seq=1,
        last_seq=1,
        announces=1,
        sha256=segment.sha256.hex(),
    )
    return stream_id


def test_an_id_of_another_kind_is_not_found(site: Site) -> None:
    """Also that of a log, which is no aggregate: its first event makes nothing."""
    paths = ("/users/{}/disable", "/torrents/{}/reject", "/requests/{}/cancel", "/moderation/cases/{}/close")
    own = dict(zip(paths, ("user_id", "torrent_id", "request_id", "case_id"), strict=True))
    ids = {"journal": a_log(site), **{name: one for name, one in site.things.items() if isinstance(one, UUID)}}
    before = site.counts()
    for path, (name, stream_id) in product(paths, ids.items()):
        if name not in (own[path], "subject_id"):
            body = {} if path.endswith(("cancel", "close")) else {"json": {"reason": "no such thing"}}
            answer = send(site, "POST", path.format(stream_id), **body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), f"{path} of {name}"
    assert site.counts() == before


@pytest.mark.parametrize("sent", [0, 1, 500, 2_000])
def test_an_upload_that_is_cut_short_leaves_nothing_and_is_no_failure(site: Site, sent: int) -> None:
    body = site.client.build_request("POST", "/", files={"file": ("x", file_of("cut"))}).read()
    before = site.counts(), rows_of(site.platform, "SELECT count(*) FROM es.blob")
    messages = iter([{"type": "http.request", "body": body[:sent], "more_body": True}, {"type": "http.disconnect"}])
    answered: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def answer(message: Any) -> None:
        answered.append(message)

    headers = [(b"host", b"here"), (b"content-type", b"multipart/form-data; boundary=x")]
    headers.append((b"authorization", site.sysop.headers["Authorization"].encode()))
    scope = {"type": "http", "method": "POST", "path": "/api/v1/torrents", "query_string": b"", "headers": headers}

    async def run() -> None:
        await site.client.app({**scope, "root_path": "", "scheme": "http", "client": None}, receive, answer)

    asyncio.run(run())
    assert answered == []
    assert (site.counts(), rows_of(site.platform, "SELECT count(*) FROM es.blob")) == before


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x; charset=undefined",
        "multipart/form-data; boundary=x; charset=utf-7",
        "multipart/form-data; boundary*=undefined''x",
        "multipart/form-data; boundary=x; boundary=y",
        "multipart/form-data; boundary*" + "9" * 5000 + "=x",
    ],
)
def test_a_form_that_two_readers_could_read_differently_is_refused(site: Site, content_type: str) -> None:
    answer = send(site, "POST", "/torrents", {"Content-Type": content_type}, content=PART % b"\xff\xff")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "disposition", [b"form-data", b"form-data; name*=undefined''a", b"form-data; name*" + b"9" * 5000 + b"=a", b"\xff"]
)
def test_a_part_without_a_plain_name_is_refused(site: Site, disposition: bytes) -> None:
    body = b"--x\r\nContent-Disposition: " + disposition + b"\r\n\r\nabc\r\n--x--\r\n"
    answer = send(site, "POST", "/torrents", {"Content-Type": "multipart/form-data; boundary=x"}, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_form_may_name_its_charset_if_it_is_ours(site: Site) -> None:
    kind = {"Content-Type": 'Multipart/Form-Data; charset=UTF-8; boundary="x"'}
    answer = send(site, "POST", "/torrents", kind, content=PART % b"movies-hd")
    assert answer.json()["errors"] == [{"field": "file", "message": "Field required"}]


@contextmanager
def server_zone(site: Site, zone: str) -> Iterator[None]:
    """The database as a server in this time zone has it."""
    with psycopg.connect(site.platform.settings.database.owner_url, autocommit=True) as owner:
        name = sql.Identifier(owner.info.dbname)
        owner.execute(sql.SQL("ALTER DATABASE {} SET timezone = {}").format(name, zone))
        site.platform.pool.drain()
        yield
        owner.execute(sql.SQL("ALTER DATABASE {} RESET timezone").format(name))


def test_the_last_moment_of_all_is_shown_wherever_the_server_is(site: Site) -> None:
    torrent_id, last = upload(site, "forever"), "9999-12-31T23:59:59.999999Z"
    assert send(site, "POST", f"/torrents/{torrent_id}/freeleech", json={"until": last}).status_code == 200
    site.catch_up()
    with server_zone(site, "Asia/Tokyo"):
        shown = send(site, "GET", f"/torrents/{torrent_id}")
        assert shown.json()["free_until"] == last, shown.text
        assert send(site, "GET", "/torrents").status_code == 200


def test_of_two_bounties_at_once_with_points_for_one_one_is_taken(site: Site) -> None:
    send(site, "POST", f"/users/{site.member.id}/bonus/grants", json={"points": 100, "reason": "for one"})
    before = site.counts()

    def offer(_: int) -> Response:
        path = f"/requests/{site.things['request_id']}/bounties"
        return send(site, "POST", path, site.member.headers, json={"points": 100})

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(offer, range(4)))
    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "insufficient_points",
        "version_conflict",
    }
    assert site.counts()[1] == before[1] + 1


def test_of_many_deletions_at_once_one_is_recorded(site: Site) -> None:
    torrent_id = upload(site, "disputed")
    before = site.counts()

    def delete(n: int) -> Response:
        return send(site, "DELETE", f"/torrents/{torrent_id}", json={"reason": f"reason {n}"})

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(answer.status_code for answer in threads.map(delete, range(4)))
    assert statuses == [200, 409, 409, 409]
    assert site.counts() == (before[0] + 1, before[1] + 1)


def test_a_refresh_token_is_taken_from_the_body_only(site: Site) -> None:
    for options in ({"params": {"refresh_token": "x"}}, {"headers": {"Cookie": "refresh_token=x"}}):
        answer = send(site, "POST", "/auth/refresh", **options, json={})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "q", ["\ufdf2" * 256, "\u0f77" * 256, "\u3316" * 256, "c" + "+" * 255, "\u0301" * 256, "\u202e"]
)
def test_words_that_grow_when_they_are_folded_can_be_searched(site: Site, q: str) -> None:
    for path in ("torrents", "suggest"):
        answer = send(site, "GET", f"/search/{path}", params={"q": q})
        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_headers_that_other_servers_obey_are_ignored(site: Site) -> None:
    plain = send(site, "GET", "/users/me").json()
    for header in (
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Original-URL": "/api/v1/audit"},
        {"X-User-ID": str(site.member.id)},
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
        {"Accept": "text/html"},
        {"Range": "bytes=0-1"},
        {"If-None-Match": "*"},
        {"Upgrade": "h2c"},
    ):
        answer = send(site, "GET", "/users/me", header)
        assert (answer.status_code, answer.json()) == (200, plain), header
