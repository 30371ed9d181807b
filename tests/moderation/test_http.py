"""Reports and cases over HTTP: who sees and does what, and what whom a case is about does not see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from runtime.platform import Platform
from tests.in_process import TestClient
from tests.members import Client, Member, Members

pytestmark = pytest.mark.engine


def report(subject_type: str, subject_id: UUID) -> dict[str, Any]:
    return {"subject_type": subject_type, "subject_id": str(subject_id), "reason": "dupe", "text": "look"}


def filed(client: Client, member: Member, subject_type: str, subject_id: UUID) -> str:
    """The path of the case that the report opened or joined."""
    answer = client.post(member, "/reports", report(subject_type, subject_id))
    assert answer.status_code == 201, answer.text
    return f"/moderation/cases/{answer.json()['case_id']}"


def test_a_case_from_report_to_close(client: Client, members: Members) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    case = filed(client, ada, "torrent", bob.uploads().id)
    assert [c["id"] for c in client.get(carol, "/moderation/cases").json()["items"]] == [case[-36:]]
    assert client.post(carol, f"{case}/claim").json()["state"] == "claimed"
    assert client.post(carol, f"{case}/comments", {"text": "not the same cut"}).status_code == 201
    decision = {"outcome": "upheld", "reason": "it is one"}
    assert client.post(carol, f"{case}/decision", decision).json()["state"] == "decided"
    assert client.post(bob, f"{case}/appeal", {"text": "it is not"}).json()["state"] == "appealed"
    dismissal = {"outcome": "dismissed", "reason": "right"}
    assert client.post(carol, f"{case}/decision", dismissal).json()["state"] == "decided"
    assert client.post(carol, f"{case}/close").json()["state"] == "closed"

    shown = client.get(carol, case).json()
    assert (shown["state"], shown["outcome"], shown["reason"]) == ("closed", "dismissed", "right")
    assert [(r["reporter"]["username"], r["text"]) for r in shown["reports"]] == [("ada", "look")]
    assert [(c["author"]["username"], c["text"]) for c in shown["comments"]] == [("carol", "not the same cut")]
    assert (shown["appeal"]["author"]["username"], shown["appeal"]["text"]) == ("bob", "it is not")
    own = client.get(ada, "/reports").json()["items"]
    assert [(r["case_id"], r["state"], r["outcome"]) for r in own] == [(case[-36:], "closed", "dismissed")]


def test_history_at_a_version_and_at_a_time(client: Client, members: Members) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    case = filed(client, ada, "torrent", bob.uploads().id)
    client.post(carol, f"{case}/decision", {"outcome": "warned", "reason": "careful"})
    whole = client.get(carol, f"{case}/history").json()
    assert [(s["version"], s["type"], s["state"]["state"]) for s in whole["items"]] == [
        (1, "case.opened", "open"),
        (2, "case.report_filed", "open"),
        (3, "case.claimed", "claimed"),
        (4, "case.decided", "decided"),
    ]
    assert whole["state"] == whole["items"][-1]["state"]
    assert whole["items"][1]["actor"]["username"] == "ada"
    assert whole["items"][1]["data"]["text"] == "look"
    at_version = client.get(carol, f"{case}/history", at="3").json()
    assert (len(at_version["items"]), at_version["state"]["state"], at_version["state"]["outcome"]) == (
        3, "claimed", None,
    )  # fmt: skip
    at_time = client.get(carol, f"{case}/history", at=whole["items"][1]["at"]).json()
    assert at_time["items"] == whole["items"][:2]
    before = client.get(carol, f"{case}/history", at="2001-01-01T00:00:00Z").json()
    assert (before["items"], before["state"]) == ([], None)
    for nonsense in ("x", "-1", "1.5", "2001-01-01", "2001-01-01T00:00:00", "2024-02-30T00:00:00Z", "9" * 30):
        assert client.get(carol, f"{case}/history", at=nonsense).json()["code"] == "bad_moment", nonsense


@pytest.mark.parametrize("group", ["member", "moderator"])
def test_whom_a_case_is_about_sees_it_without_its_reporters(client: Client, members: Members, group: str) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob", group), members.join("carol", "moderator")
    case = filed(client, ada, "user", bob.id)
    client.post(carol, f"{case}/comments", {"text": "ada is right"})
    client.post(carol, f"{case}/decision", {"outcome": "upheld", "reason": "behave"})
    for path in (case, f"{case}/history"):
        seen = client.get(bob, path)
        assert seen.status_code == 200, seen.text
        assert str(ada.id) not in seen.text
        assert "ada" not in seen.text
        assert "look" not in seen.text
        assert "behave" in seen.text
    history = client.get(bob, f"{case}/history").json()["items"]
    assert [s["actor"] and s["actor"]["username"] for s in history] == [None, None, "carol", "carol", "carol"]
    assert [s["command_id"] is None for s in history] == [True, True, False, False, False]


def test_nobody_else_learns_that_there_is_a_case(client: Client, members: Members) -> None:
    ada, bob, eve = members.join("ada"), members.join("bob"), members.join("eve")
    case = filed(client, ada, "user", bob.id)
    assert client.get(eve, case).json()["code"] == "not_found"
    assert client.get(eve, f"{case}/history").json()["code"] == "not_found"
    assert client.post(eve, f"{case}/appeal", {"text": "me too"}).json()["code"] == "not_found"
    assert client.get(eve, "/moderation/cases").json()["code"] == "not_permitted"
    for path in ("claim", "close"):
        assert client.post(eve, f"{case}/{path}").json()["code"] == "not_permitted"
    assert client.get(eve, f"/moderation/cases/{uuid4()}").status_code == 404
    assert client.get(eve, f"/moderation/cases/{bob.id}/history").status_code == 404


def test_nobody_handles_a_case_about_themselves(client: Client, members: Members) -> None:
    ada, carol = members.join("ada"), members.join("carol", "moderator")
    case = filed(client, ada, "torrent", carol.uploads().id)
    for path, body in (
        ("claim", None),
        ("comments", {"text": "mine"}),
        ("decision", {"outcome": "dismissed", "reason": "mine"}),
        ("close", None),
    ):
        refused = client.post(carol, f"{case}/{path}", body)
        assert (refused.status_code, refused.json()["code"]) == (403, "own_case"), path


def test_a_claimed_case_is_its_moderators(client: Client, members: Members) -> None:
    ada, bob = members.join("ada"), members.join("bob")
    carol, dave = members.join("carol", "moderator"), members.join("dave", "moderator")
    case = filed(client, ada, "user", bob.id)
    client.post(carol, f"{case}/claim")
    assert client.post(dave, f"{case}/claim").json()["code"] == "claimed_by_another"
    refused = client.post(dave, f"{case}/decision", {"outcome": "dismissed", "reason": "no"})
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_another")
    mine = client.get(dave, "/moderation/cases", claimed_by=str(dave.id)).json()["items"]
    assert (mine, len(client.get(dave, "/moderation/cases", claimed_by=str(carol.id)).json()["items"])) == ([], 1)


def test_deciders_could_do_by_hand_what_they_decide(client: Client, members: Members) -> None:
    ada, bob, root = members.join("ada"), members.join("bob"), members.join("root", "administrator")
    janitor, carol = members.join("janitor", "forum_moderator"), members.join("carol", "moderator")
    film = filed(client, ada, "torrent", bob.uploads().id)
    boss = filed(client, ada, "user", root.id)
    deletion = {"outcome": "torrent_deleted", "reason": "dupe"}
    disabling = {"outcome": "user_disabled", "reason": "enough"}
    assert client.post(janitor, f"{film}/decision", deletion).json()["code"] == "not_permitted"
    assert client.post(janitor, f"{film}/decision", disabling).json()["code"] == "not_permitted"
    assert client.post(carol, f"{boss}/decision", disabling).json()["code"] == "above_own_level"
    assert client.post(carol, f"{boss}/decision", deletion).json()["code"] == "outcome_does_not_fit"
    assert client.get(carol, boss).json()["state"] == "open"
    assert client.post(carol, f"{film}/decision", deletion).json()["state"] == "decided"


def test_what_cannot_be_seen_cannot_be_reported(client: Client, members: Members) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    waiting = bob.uploads(listed=False)
    assert client.post(ada, "/reports", report("torrent", waiting.id)).status_code == 404
    assert client.post(ada, "/reports", report("torrent", uuid4())).status_code == 404
    assert client.post(ada, "/reports", report("request", bob.id)).status_code == 404
    assert client.post(ada, "/reports", report("user", waiting.id)).status_code == 404
    assert client.post(carol, "/reports", report("torrent", waiting.id)).status_code == 201


def test_a_hundred_reports_of_one_thing_are_one(client: Client, members: Members) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = bob.uploads().id
    case = filed(client, ada, "torrent", film)
    again = client.post(ada, "/reports", report("torrent", film))
    assert (again.status_code, again.json()["code"]) == (409, "already_reported")
    assert client.post(bob, "/reports", report("user", bob.id)).json()["code"] == "self_report"
    assert client.get(carol, case).json()["report_count"] == 1


def test_first_reports_at_the_same_moment_open_one_case(
    client: Client, members: Members, platform: Platform, api: TestClient
) -> None:
    film = members.join("bob").uploads().id
    reporters = [members.join(f"member{n}") for n in range(4)]
    members.catch_up()

    def file(member: Member) -> Any:
        return api.post("/api/v1/reports", json=report("torrent", film), headers=member.headers)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(file, reporters[:3]))
    answers.append(file(reporters[3]))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}, "whoever is late three times is told to try again"
    assert len({one["case_id"] for one in made}) == 1
    assert len({one["id"] for one in made}) == len(made)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": ""},
        {"reason": "x" * 1_001},
        {"text": "x" * 100_000},
        {"subject_type": "galaxy"},
        {"subject_id": "{00000000-0000-7000-8000-000000000001}"},
        {"reporter_id": str(UUID(int=1))},
    ],
)
def test_a_report_that_makes_no_sense_is_refused(client: Client, members: Members, fields: dict[str, Any]) -> None:
    ada, bob = members.join("ada"), members.join("bob")
    assert client.post(ada, "/reports", {**report("user", bob.id), **fields}).status_code == 422


def test_whoever_may_not_report_is_told_so(client: Client, members: Members) -> None:
    waiting, bob = members.join("new", "validating"), members.join("bob")
    assert client.post(waiting, "/reports", report("user", bob.id)).json()["code"] == "not_permitted"


def test_the_queue_pages(client: Client, members: Members) -> None:
    ada, carol = members.join("ada"), members.join("carol", "moderator")
    paths = [filed(client, ada, "user", members.join(f"member{n}").id) for n in range(3)]
    first = client.get(carol, "/moderation/cases", limit=2).json()
    rest = client.get(carol, "/moderation/cases", limit=2, cursor=first["next_cursor"]).json()
    assert [c["id"] for c in first["items"] + rest["items"]] == [path[-36:] for path in reversed(paths)]
    assert rest["next_cursor"] is None
