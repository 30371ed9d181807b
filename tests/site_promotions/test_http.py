"""Promotions of the whole site over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from projections.site_promotions import site_promotions
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import rows_of
from tests.members import Client, Members

pytestmark = pytest.mark.engine

PATH = "/tracker/site-promotions"


def test_staff_start_and_end_promotions_that_everybody_sees(
    client: Client, members: Members, platform: Platform
) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    until = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    free = client.post(admin, PATH, {"download_percent": 0, "until": until.isoformat()})
    assert free.status_code == 201, free.text
    double = client.post(admin, PATH, {"upload_percent": 200})
    shown = client.get(ada, PATH).json()["items"]
    assert [(p["id"], p["upload_percent"], p["download_percent"]) for p in shown] == [
        (double.json()["id"], 200, 100),
        (free.json()["id"], 100, 0),
    ]
    assert [p["until"] for p in shown] == [None, until.isoformat().replace("+00:00", "Z")]
    assert client.send("DELETE", f"{PATH}/{double.json()['id']}", admin).status_code == 200
    assert [p["id"] for p in client.get(ada, PATH).json()["items"]] == [free.json()["id"]]
    assert [(check.rows, check.differences) for check in verify(platform, site_promotions)] == [(2, 0)]


def test_one_whose_time_is_over_is_not_shown(client: Client, members: Members, owner: Any) -> None:
    admin = members.join("root", "administrator")
    for upload_percent in (150, 200):
        client.post(admin, PATH, {"upload_percent": upload_percent, "until": "2099-01-01T00:00:00Z"})
    members.catch_up()
    owner.execute("UPDATE read.site_promotion SET until = now() WHERE upload_percent = 150")
    assert [p["upload_percent"] for p in client.get(admin, PATH).json()["items"]] == [200]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_promotion"),
        ({"upload_percent": 0, "download_percent": 50}, "bad_promotion"),
        ({"upload_percent": 201}, "invalid"),
        ({"download_percent": -1}, "invalid"),
        ({"download_percent": 0, "until": "2001-01-01T00:00:00Z"}, "promotion_in_past"),
        ({"download_percent": 0, "from": "2001-01-01T00:00:00Z"}, "unknown_field"),
    ],
)
def test_what_is_no_promotion_is_refused(client: Client, members: Members, body: Any, code: str) -> None:
    refused = client.post(members.join("root", "administrator"), PATH, body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)


def test_only_who_manages_the_tracker_promotes(client: Client, members: Members, platform: Platform) -> None:
    admin, moderator = members.join("root", "administrator"), members.join("mod", "moderator")
    made = client.post(admin, PATH, {"download_percent": 0}).json()["id"]
    refused = [
        client.post(moderator, PATH, {"download_percent": 0}),
        client.send("DELETE", f"{PATH}/{made}", moderator),
    ]
    assert [answer.json()["code"] for answer in refused] == ["not_permitted"] * 2
    assert client.send("DELETE", f"{PATH}/{uuid4()}", admin).status_code == 404
    assert rows_of(platform, "SELECT count(*) FROM read.site_promotion WHERE ended_at IS NULL") == [(1,)]
