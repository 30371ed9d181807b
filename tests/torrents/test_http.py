"""Torrents over the API: upload, queue, lists, details, the caller's own .torrent, and everybody who is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from domain.announce_keys import verifies
from domain.metainfo import announce_hashes, parse
from domain.metainfo.bencode import decode
from queries.torrents import content_disposition
from runtime.http.deps import settings as given_settings
from runtime.settings import Settings
from tests.given import rows_of
from tests.in_process import TestClient
from tests.members import Agent, Client
from tests.metainfo.samples import CONTENT, good_torrents, hybrid_info, layers, single_info, torrent, v1_info
from tests.torrents.uploads import file_of

pytestmark = pytest.mark.engine


def test_an_upload_waits_is_approved_and_listed(member: Agent, other: Agent, staff: Agent) -> None:
    receipt = member.uploaded("film", name=" A Film ", tags="Drama, crime", category="tv-hd")
    assert receipt["status"] == "pending"
    assert other.get("/torrents")["items"] == []
    assert other.send("GET", f"/torrents/{receipt['id']}").status_code == 404
    assert staff.post(f"/torrents/{receipt['id']}/approve")["status"] == "approved"
    [listed] = other.get("/torrents")["items"]
    detail = other.get(f"/torrents/{receipt['id']}")
    assert listed == {name: detail[name] for name in listed}
    assert detail["name"] == "A Film"
    assert detail["tags"] == ["crime", "drama"]
    assert detail["category"] == "tv-hd"
    assert detail["uploader"] == {"id": str(member.id), "username": member.username}
    assert detail["files"] == [{"path": "film", "length": 50_000}]
    assert (detail["size"], detail["file_count"], detail["piece_length"]) == (50_000, 1, 16384)
    assert (detail["seeders"], detail["leechers"], detail["times_completed"]) == (0, 0, 0)
    assert detail["info_hash_v1"] == receipt["info_hash_v1"]


@pytest.mark.parametrize("kind", sorted(good_torrents()))
def test_every_kind_of_torrent_is_taken_and_handed_out(member: Agent, kind: str) -> None:
    file = good_torrents()[kind]
    answer = member.upload(file)
    assert answer.status_code == 201, answer.text
    sent, got = parse(file), parse(member.send("GET", f"/torrents/{answer.json()['id']}/download").content)
    assert (got.info, got.piece_layers) == (sent.info, sent.piece_layers)
    hashes = [sent.info_hash_v1 and sent.info_hash_v1.hex(), sent.info_hash_v2 and sent.info_hash_v2.hex()]
    assert [answer.json()["info_hash_v1"], answer.json()["info_hash_v2"]] == hashes
    assert answer.json()["private_added"] is False


def test_a_public_torrent_becomes_private(member: Agent) -> None:
    answer = member.upload(torrent(single_info(private=0))).json()
    assert answer["private_added"] is True
    got = decode(member.send("GET", f"/torrents/{answer['id']}/download").content)
    assert isinstance(got, dict)
    assert isinstance(got[b"info"], dict)
    assert got[b"info"][b"private"] == 1


def test_the_udp_tracker_is_named_second_when_the_site_wants_it(app: FastAPI, member: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}/download"
    plain: Any = decode(member.send("GET", path).content)
    assert b"announce-list" not in plain
    edge = Settings().edge.model_copy(update={"udp_in_torrents": True, "public_url": "https://t.example"})
    app.dependency_overrides[given_settings] = lambda: Settings(edge=edge)
    found: Any = decode(member.send("GET", path).content)
    key = plain[b"announce"].rpartition(b"/")[2]
    over_http, over_udp = b"https://t.example/announce/" + key, b"udp://t.example:6969/announce/" + key
    assert (found[b"announce"], found[b"announce-list"]) == (over_http, [[over_http], [over_udp]])


def test_without_a_title_the_torrents_own_name_is_shown(member: Agent) -> None:
    assert member.get(f"/torrents/{member.uploaded('own.name', name='  ')['id']}")["name"] == "own.name"


def test_trusted_uploads_skip_the_queue(client: Client) -> None:
    assert client.agent("uploader", "uploader").uploaded("film")["status"] == "approved"


def test_tags_come_in_one_field_or_in_many(member: Agent) -> None:
    one, many = member.uploaded("one", tags="b,a"), member.uploaded("many", tags=["b", "a"])
    assert [member.get(f"/torrents/{it['id']}")["tags"] for it in (one, many)] == [["a", "b"], ["a", "b"]]


def test_an_upload_with_bad_fields_is_refused(member: Agent) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"category": "no-such"}, "unknown_category"),
        ({"category": "c" * 65}, "invalid"),
        ({"name": "a" * 256}, "bad_title"),
        ({"name": "a\u202eb"}, "bad_title"),
        ({"name": "a\x00b"}, "control_characters"),
        ({"tags": "sci fi"}, "bad_tag"),
        ({"description": "a" * 65_536}, "bad_description"),
        ({"anonymous": "perhaps"}, "invalid"),
        ({"status": "approved"}, "unknown_field"),
    ]
    for fields, code in refusals:
        answer = member.upload(file_of("film"), **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, code), fields


def test_a_file_that_is_no_torrent_is_refused(member: Agent) -> None:
    refusals = [
        (b"", 422, "empty"),
        (b"not bencoded", 422, "malformed"),
        (b"d4:infod4:name5000000000:xee", 422, "malformed_string"),
        (b"d8:announce1:x" + b"0" * 10 * 2**20, 413, "too_large"),
        (torrent(v1_info((("../a", b"x"),))), 422, "bad_path"),
    ]
    for file, status, code in refusals:
        answer = member.upload(file)
        assert (answer.status_code, answer.json()["code"]) == (status, code), code
    assert rows_of(member.platform, "SELECT count(*) FROM es.blob") == [(0,)]


def test_an_upload_without_a_file_is_refused(member: Agent) -> None:
    assert member.send("POST", "/torrents", data={"category": "tv"}).status_code == 422
    assert member.send("POST", "/torrents", json={"category": "tv"}).status_code in (415, 422)


def test_the_same_torrent_is_a_duplicate_even_after_deletion(member: Agent, other: Agent, staff: Agent) -> None:
    first = member.uploaded("film")
    again = other.upload(file_of("film"), name="Another title")
    assert (again.status_code, again.json()["code"]) == (409, "duplicate")
    assert first["id"] not in again.text
    assert first["id"] in member.upload(file_of("film")).text
    staff.delete(f"/torrents/{first['id']}", {"reason": "bad copy"})
    assert other.upload(file_of("film")).status_code == 409


def test_a_hybrid_takes_the_hash_of_each_version(member: Agent) -> None:
    hybrid = torrent(hybrid_info(CONTENT), piece_layers=layers(CONTENT))
    assert len(announce_hashes(parse(hybrid))) == 2
    assert member.upload(hybrid).status_code == 201
    claimed = rows_of(
        member.platform,
        "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'claim.made'",
    )
    assert claimed == [(3,)]  # what clients announce, and the whole version 2 hash


def test_of_the_same_upload_twice_at_once_one_wins(member: Agent, other: Agent) -> None:
    file = file_of("film")
    with ThreadPoolExecutor(2) as threads:
        codes = list(threads.map(lambda caller: caller.upload(file).status_code, (member, other)))
    assert sorted(codes) == [201, 409]
    assert rows_of(member.platform, "SELECT count(*) FROM es.blob") == [(1,)]


def test_a_repeated_upload_gets_the_first_answer(member: Agent) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (member.upload(file_of("film"), key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_uploaders_see_their_own_uploads_before_anybody_else(member: Agent, other: Agent, staff: Agent) -> None:
    receipt = member.uploaded("film")
    staff.post(f"/torrents/{receipt['id']}/reject", {"reason": "wrong category"})
    assert member.get(f"/torrents/{receipt['id']}")["reason"] == "wrong category"
    ids = {
        caller.username: [item["id"] for item in caller.get("/torrents", status="rejected")["items"]]
        for caller in (member, other, staff)
    }
    assert ids == {member.username: [receipt["id"]], other.username: [], staff.username: [receipt["id"]]}


def test_an_anonymous_uploader_is_seen_by_staff_and_self(member: Agent, other: Agent, staff: Agent) -> None:
    receipt = member.uploaded("film", anonymous="true")
    staff.post(f"/torrents/{receipt['id']}/approve")
    path = f"/torrents/{receipt['id']}"
    shown = {"id": str(member.id), "username": member.username}
    assert [caller.get(path)["uploader"] for caller in (other, member, staff)] == [None, shown, shown]
    found = [len(caller.get("/torrents", uploader=str(member.id))["items"]) for caller in (other, member, staff)]
    assert found == [0, 1, 1]


def test_a_list_is_filtered_and_paged(member: Agent, staff: Agent) -> None:
    wanted = [("tv-hd", "drama"), ("tv", "crime"), ("movies-hd", "drama"), ("tv-sd", "drama,crime")]
    ids = []
    for n, (category, tags) in enumerate(wanted):
        file = torrent(single_info(b"x" * (1000 + n), name=b"%d" % n))
        ids.append(member.upload(file, category=category, tags=tags).json()["id"])
        staff.post(f"/torrents/{ids[n]}/approve")

    def listed(**params: str) -> list[int]:
        return [ids.index(item["id"]) for item in member.get("/torrents", **params)["items"]]

    assert listed() == [3, 2, 1, 0]
    assert listed(sort="oldest") == [0, 1, 2, 3]
    assert listed(sort="largest") == [3, 2, 1, 0]
    assert listed(sort="seeders") == listed(sort="completed") == [3, 2, 1, 0]
    assert listed(category="tv") == [3, 1, 0]
    assert listed(category="tv-hd") == [0]
    assert listed(category="no-such") == []
    assert listed(tag="Crime") == [3, 1]
    assert listed(tag="drama", category="tv") == [3, 0]
    assert listed(alive="true") == []
    assert listed(alive="false") == [3, 2, 1, 0]
    for sort in ("newest", "oldest", "largest", "seeders"):
        pages, cursor = [], ""
        while cursor is not None:
            page = member.get("/torrents", sort=sort, limit="1", **({"cursor": cursor} if cursor else {}))
            pages += [ids.index(item["id"]) for item in page["items"]]
            cursor = page["next_cursor"]
        assert pages == listed(sort=sort)


def test_a_bad_question_is_refused(member: Agent) -> None:
    questions = (
        "sort=password deleted=true limit=0 limit=101 cursor=abc uploader=me status=hidden free=perhaps"
        f" category=a&category=b tag=%00 tag=%ff tag={'t' * 41}"
    )
    for question in questions.split():
        assert member.send("GET", f"/torrents?{question}").status_code == 422, question


def test_a_cursor_belongs_to_its_sort(member: Agent, staff: Agent) -> None:
    for name in ("a", "b"):
        staff.post(f"/torrents/{member.uploaded(name)['id']}/approve")
    cursor = member.get("/torrents", limit="1")["next_cursor"]
    answer = member.send("GET", "/torrents", params={"cursor": cursor, "sort": "largest"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


def test_each_copy_carries_its_owners_key_for_this_torrent_only(member: Agent, other: Agent, staff: Agent) -> None:
    one, two = (member.uploaded(name) for name in ("one", "two"))
    for receipt in (one, two):
        staff.post(f"/torrents/{receipt['id']}/approve")
    secret, keys = member.platform.secrets.site, {}
    for caller in (member, other):
        for receipt in (one, two):
            answer = caller.send("GET", f"/torrents/{receipt['id']}/download")
            assert answer.headers["content-type"] == "application/x-bittorrent"
            file = decode(answer.content)
            assert isinstance(file, dict)
            assert set(file) == {b"announce", b"comment", b"info"}
            assert isinstance(file[b"announce"], bytes)
            assert isinstance(file[b"comment"], bytes)
            assert receipt["id"] in file[b"comment"].decode()
            url, _, key = file[b"announce"].decode().rpartition("/")
            assert url == "http://127.0.0.1:6969/announce"
            keys[key] = (caller, receipt["id"])
    assert len(keys) == 4
    for key, (caller, torrent_id) in keys.items():
        opened = [
            (who.username, receipt["id"])
            for who in (member, other)
            for receipt in (one, two)
            if verifies(key, secret, who.id, 1, UUID(receipt["id"]))
        ]
        assert opened == [(caller.username, torrent_id)]


def test_a_copy_is_kept_from_those_without_the_right(
    client: Client, api: TestClient, member: Agent, other: Agent, staff: Agent
) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}"
    assert [c.send("GET", f"{path}/download").status_code for c in (member, other, staff)] == [200, 404, 200]
    staff.post(f"{path}/approve")
    for group in ("validating", "banned"):
        caller = client.agent(group, group)
        codes = [caller.send("GET", where).status_code for where in (f"{path}/download", path, "/torrents")]
        assert codes == [403, 403, 403]
    assert api.get(f"/api/v1{path}/download").status_code == 401


def test_head_answers_as_get_without_a_body(member: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}/download"
    get, head = member.send("GET", path), member.send("HEAD", path)
    assert head.status_code == 200
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-disposition"] == get.headers["content-disposition"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("A Film (2031).torrent", "A Film (2031).torrent"),
        ('a"; filename=x.torrent', "a__ filename_x.torrent"),
        ("../a/b\\c.torrent", ".._a_b_c.torrent"),
        ("Ämélie 進撃.torrent", "_m_lie __.torrent"),
        ("a\r\nSet-Cookie: b.torrent", "a__Set-Cookie_ b.torrent"),
        ("ä" * 255 + ".torrent", "_" * 100 + ".torrent"),
    ],
)
def test_a_file_name_can_break_no_header(name: str, plain: str) -> None:
    shown = content_disposition(name)
    before, _, extended = shown.partition("; filename*=UTF-8''")
    assert before == f'attachment; filename="{plain}"'
    assert extended.isascii()
    assert not set(extended) & set(" \"';,\\\r\n")
    assert len(unquote(extended, errors="strict").encode()) <= 255
