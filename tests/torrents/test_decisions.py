"""What staff decide about uploads over the API: approving, rejecting, deleting, promoting; and who may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from runtime.platform import Platform
from tests.given import rows_of
from tests.members import Agent, Client
from tests.torrents.uploads import file_of

pytestmark = pytest.mark.engine


def test_a_deleted_torrent_is_gone_for_members(member: Agent, other: Agent, staff: Agent) -> None:
    receipt = member.uploaded("film")
    path = f"/torrents/{receipt['id']}"
    staff.post(f"{path}/approve")
    assert other.delete(path, {"reason": "no"}, expect=403)["code"] == "not_yours"
    member.delete(path, {"reason": "a mistake"})
    assert [caller.send("GET", path).status_code for caller in (member, other)] == [404, 404]
    assert staff.get(path)["status"] == "deleted"
    codes = [caller.send("GET", f"{path}/download").status_code for caller in (member, other, staff)]
    assert codes == [404, 404, 410]
    assert [caller.get("/torrents")["items"] for caller in (member, other, staff)] == [[], [], []]


def test_freeleech_is_shown_and_found(member: Agent, staff: Agent) -> None:
    free, other = (member.uploaded(name) for name in ("free", "other"))
    for receipt in (free, other):
        staff.post(f"/torrents/{receipt['id']}/approve")
    until = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    staff.post(f"/torrents/{free['id']}/freeleech", {"until": until.isoformat()})
    shown = member.get(f"/torrents/{free['id']}")["free_until"]
    assert datetime.fromisoformat(shown) == until
    assert [item["id"] for item in member.get("/torrents", free="true")["items"]] == [free["id"]]
    assert [item["id"] for item in member.get("/torrents", free="false")["items"]] == [other["id"]]
    staff.delete(f"/torrents/{free['id']}/freeleech")
    assert member.get(f"/torrents/{free['id']}")["free_until"] is None


def test_a_promotion_is_shown_and_found_when_it_is_free(member: Agent, staff: Agent) -> None:
    half, double, free, neutral = (member.uploaded(name)["id"] for name in ("half", "double", "free", "neutral"))
    until = "2099-01-01T00:00:00Z"
    wanted: dict[str, dict[str, object]] = {
        half: {"download_percent": 50, "until": until},
        double: {"upload_percent": 200},
        free: {"upload_percent": 200, "download_percent": 0},
        neutral: {"upload_percent": 0, "download_percent": 0, "until": until},
    }
    for torrent_id, body in wanted.items():
        staff.post(f"/torrents/{torrent_id}/approve")
        answer = staff.send("PUT", f"/torrents/{torrent_id}/promotion", json=body)
        assert answer.status_code == 200, answer.text
    names = ("upload_percent", "download_percent", "promoted_until", "free_until")
    shown = {item["id"]: [item[name] for name in names] for item in member.get("/torrents")["items"]}
    assert shown == {
        half: [100, 50, until, None],
        double: [200, 100, None, None],
        free: [200, 0, None, "9999-12-31T23:59:59Z"],
        neutral: [0, 0, until, None],
    }
    assert [member.get(f"/torrents/{torrent_id}")[name] for torrent_id in shown for name in names] == [
        value for values in shown.values() for value in values
    ]
    assert [item["id"] for item in member.get("/torrents", free="true")["items"]] == [free]
    assert [item["id"] for item in member.get("/search/torrents", q="free", free="true")["items"]] == [free]
    for torrent_id in wanted:
        staff.delete(f"/torrents/{torrent_id}/promotion")
        detail = member.get(f"/torrents/{torrent_id}")
        assert [detail[name] for name in names] == [100, 100, None, None]


def test_a_promotion_whose_time_is_over_is_not_shown(member: Agent, staff: Agent, owner: Any) -> None:
    ids = [member.uploaded(name)["id"] for name in ("over", "on")]
    for torrent_id in ids:
        body = {"upload_percent": 200, "download_percent": 50, "until": "2099-01-01T00:00:00Z"}
        staff.send("PUT", f"/torrents/{torrent_id}/promotion", json=body)
    member.get(f"/torrents/{ids[0]}")
    owner.execute("UPDATE read.torrent SET promoted_until = now() WHERE torrent_id = %s", [ids[0]])
    details = [member.get(f"/torrents/{torrent_id}") for torrent_id in ids]
    assert [(d["upload_percent"], d["download_percent"]) for d in details] == [(100, 100), (200, 50)]
    assert [d["promoted_until"] for d in details] == [None, "2099-01-01T00:00:00Z"]


def test_only_staff_decide(member: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}"
    refused = [
        member.post(f"{path}/approve", expect=403),
        member.post(f"{path}/reject", {"reason": "no"}, expect=403),
        member.post(f"{path}/freeleech", {"until": "2099-01-01T00:00:00Z"}, expect=403),
        member.delete(f"{path}/freeleech", expect=403),
        member.send("PUT", f"{path}/promotion", json={"download_percent": 0}).json(),
        member.delete(f"{path}/promotion", expect=403),
    ]
    assert [answer["code"] for answer in refused] == ["not_permitted"] * 6


def test_a_rejection_says_why(member: Agent, staff: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}/reject"
    refusals: list[tuple[object, str]] = [
        ({}, "invalid"),
        ({"reason": ""}, "reason_missing"),
        ({"reason": 7}, "invalid"),
        ({"reason": "no", "by": "me"}, "unknown_field"),
    ]
    for body, code in refusals:
        assert staff.post(path, body, expect=422)["code"] == code


def test_freeleech_has_an_end_in_the_future(member: Agent, staff: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}/freeleech"
    for until in ("2001-01-01T00:00:00Z", "2099-01-01", "2099-01-01T00:00:00", 4070908800, None):
        staff.post(path, {"until": until}, expect=422)


def test_what_is_no_promotion_is_refused(member: Agent, staff: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}/promotion"
    refusals: list[tuple[dict[str, object], str]] = [
        ({}, "bad_promotion"),
        ({"upload_percent": 50, "download_percent": 0}, "bad_promotion"),
        ({"upload_percent": 201}, "invalid"),
        ({"download_percent": 101}, "invalid"),
        ({"download_percent": 0, "until": "2001-01-01T00:00:00Z"}, "promotion_in_past"),
    ]
    for body, code in refusals:
        answer = staff.send("PUT", path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_decision_on_another_version_is_refused(member: Agent, staff: Agent) -> None:
    path = f"/torrents/{member.uploaded('film')['id']}"
    version = {"If-Match": str(staff.get(path)["version"])}
    assert staff.send("POST", f"{path}/reject", version, json={"reason": "no"}).status_code == 200
    late = staff.send("POST", f"{path}/approve", version)
    assert (late.status_code, late.json()["code"]) == (409, "version_conflict")


def test_what_is_not_there_is_not_found(member: Agent, staff: Agent) -> None:
    unknown = f"/torrents/{uuid4()}"
    assert staff.post(f"{unknown}/approve", expect=404)["code"] == "not_found"
    assert staff.delete(unknown, {"reason": "no"}, expect=404)["code"] == "not_found"
    for path in (unknown, f"{unknown}/download"):
        assert member.send("GET", path).status_code == 404
    assert member.send("GET", "/torrents/1").status_code == 422


def test_others_learn_nothing_of_a_waiting_upload_by_deleting_it(member: Agent, other: Agent) -> None:
    other.delete(f"/torrents/{member.uploaded('film')['id']}", {"reason": "no"}, expect=404)


def test_groups_without_the_right_upload_nothing(client: Client, platform: Platform) -> None:
    answer = client.agent("validating", "validating").upload(file_of("film"))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    assert rows_of(platform, "SELECT count(*) FROM es.blob") == [(0,)]
