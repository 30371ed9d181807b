"""One row per event, about the right subject, without what names a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from commands.bonus import GrantPoints, grant_points
from commands.moderation import DecideCase, FileReport, SubjectType, decide_case, file_report
from commands.requests import OpenRequest, open_request
from domain.moderation import Outcome
from projections.audit import TEXT_MAX, audit, public_fields
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import everything, projected, rows_of
from tests.members import Members

pytestmark = pytest.mark.engine


@dataclass
class Uploaded:
    paths: list[str]
    text: str
    id: UUID


def about(platform: Platform, action: str) -> list[tuple[Any, ...]]:
    return rows_of(
        platform,
        "SELECT actor_id, subject_type, subject_id, reason FROM read.audit_entry WHERE action = %s ORDER BY position",
        [action],
    )


def test_every_event_has_its_entry(members: Members, platform: Platform) -> None:
    members.join("ada", points=5)
    members.join("bob")
    projected(platform, audit)
    kept = (
        "SELECT count(*) FROM es.event e JOIN read.audit_entry a USING (position, actor_id, command_id, correlation_id,"
        " origin, stream_id) JOIN es.event_type t ON t.id = e.type AND t.name = a.action"
    )
    assert rows_of(platform, kept) == rows_of(platform, "SELECT count(*) FROM es.event")


def test_moved_points_are_about_whoever_has_them(members: Members, platform: Platform) -> None:
    root, ada = members.join("root", "administrator"), members.join("ada")
    grant_points(ada.id, GrantPoints(points=50, reason="for the logo"), root.caller, root.store)
    command = OpenRequest(title="A film", description="", category="movies-hd", bounty=5)
    request = open_request(command, ada.caller, ada.store).id
    projected(platform, audit)
    assert about(platform, "account.posted") == [
        (root.id, "user", ada.id, "for the logo"),
        (root.id, "user", ada.id, "for the logo"),
        (ada.id, "user", ada.id, "A film"),
        (ada.id, "request", request, "A film"),
    ]


def test_sessions_are_about_their_users_and_decisions_about_what_was_decided(
    members: Members, platform: Platform
) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = bob.uploads().id
    report = FileReport(subject_type=SubjectType.TORRENT, subject_id=film, reason="dupe", text="")
    case = file_report(report, ada.caller, ada.store).case_id
    decide_case(case, DecideCase(outcome=Outcome.UPHELD, reason="it is one"), carol.caller, carol.store)
    projected(platform, audit)
    assert [row[:3] for row in about(platform, "session.started")] == [(m.id, "user", m.id) for m in (ada, bob, carol)]
    assert about(platform, "case.decided") == [(carol.id, "torrent", film, "it is one")]
    assert about(platform, "case.claimed") == [(carol.id, "case", case, None)]


def test_only_who_reported_is_hidden_and_only_from_whom_it_is_about(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    report = FileReport(subject_type=SubjectType.USER, subject_id=bob.id, reason="rude", text="")
    case = file_report(report, ada.caller, ada.store).case_id
    decide_case(case, DecideCase(outcome=Outcome.UPHELD, reason="he was"), carol.caller, carol.store)
    again = file_report(report, ada.caller, ada.store).case_id
    assert again != case
    projected(platform, audit)
    hidden = rows_of(platform, "SELECT action, hidden_from FROM read.audit_entry WHERE hidden_from IS NOT NULL")
    assert {row[1] for row in hidden} == {bob.id}
    assert sorted(row[0] for row in hidden) == [
        "case.opened",
        "case.opened",
        "case.report_filed",
        "case.report_filed",
        "claim.made",
        "claim.released",
        "claim.retaken",
    ]


def test_no_entry_names_a_person(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada-lovelace"), members.join("bob")
    report = FileReport(subject_type=SubjectType.USER, subject_id=bob.id, reason="rude", text="words of Ada's")
    file_report(report, ada.caller, ada.store)
    projected(platform, audit)
    rows = everything(platform, "audit_entry")
    assert not any("lovelace" in row or "example.org" in row or "words of" in row for row in rows)
    fields = rows_of(platform, "SELECT data FROM read.audit_entry WHERE action = 'user.registered'")
    assert fields == [({"group": "member"},), ({"group": "member"},)]


def test_a_second_replay_gives_the_same_rows(members: Members, platform: Platform) -> None:
    members.join("ada", points=5).uploads()
    members.join("bob", points=5).uploads()
    projected(platform, audit)
    assert {check.differences for check in verify(platform, audit)} == {0}


def test_long_texts_are_cut_and_long_lists_counted() -> None:
    event = Uploaded(["a"] * 51, "x\x00" + "y" * TEXT_MAX, UUID(int=7))
    shown = public_fields(event)
    assert shown["paths"] == {"items": 51}
    assert shown["text"] == "x\ufffd" + "y" * (TEXT_MAX - 2) + "…"
    assert shown["id"] == "00000000-0000-0000-0000-000000000007"
