"""Staff notes: who writes and reads them, and that nothing of them is anybody else's."""

from __future__ import annotations

from uuid import uuid4

import pytest
from httpx import Response

from domain.staff_notes import NOTES_MAX, TEXT_MAX, StaffNotes, TooManyNotes
from tests.given import rows_of
from tests.members import Client, Member

pytestmark = pytest.mark.engine


@pytest.fixture
def client(shared_client: Client) -> Client:
    return shared_client


def write(client: Client, who: Member, about: Member, text: str = "a note") -> Response:
    return client.post(who, f"/users/{about.id}/notes", {"text": text})


def notes(client: Client, who: Member, about: Member, **params: object) -> Response:
    return client.get(who, f"/users/{about.id}/notes", **params)


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_staff_read_what_staff_wrote_about_whom(client: Client) -> None:
    forum, mod = client.members.join("forum", "forum_moderator"), client.members.join("mod", "moderator")
    ada, grace = client.members.join("ada"), client.members.join("grace")
    for who, about, text in ((forum, ada, "rude at times"), (mod, ada, "was sorry"), (mod, grace, "helps a lot")):
        assert write(client, who, about, text).status_code == 201
    items = notes(client, forum, ada).json()["items"]
    said = [(one["author"]["username"], one["text"]) for one in items]
    assert said == [("mod", "was sorry"), ("forum", "rude at times")]
    assert [one["text"] for one in notes(client, mod, grace).json()["items"]] == ["helps a lot"]
    assert notes(client, mod, forum).json() == {"items": [], "next_cursor": None}


def test_notes_are_paged(client: Client) -> None:
    mod, ada = client.members.join("mod", "moderator"), client.members.join("ada")
    for n in range(3):
        write(client, mod, ada, f"note {n}")
    first = notes(client, mod, ada, limit=2).json()
    rest = notes(client, mod, ada, limit=2, cursor=first["next_cursor"]).json()
    assert [one["text"] for one in first["items"] + rest["items"]] == ["note 2", "note 1", "note 0"]
    assert rest["next_cursor"] is None


def test_nobody_writes_or_reads_about_themselves_or_their_betters(client: Client) -> None:
    forum, mod, ada = (
        client.members.join(*one) for one in (("forum", "forum_moderator"), ("mod", "moderator"), ("ada",))
    )
    assert refusal(write(client, ada, forum)) == (403, "not_permitted")
    assert refusal(notes(client, ada, ada)) == (403, "not_permitted")
    for about in (mod, forum):
        assert refusal(write(client, forum, about)) == (403, "above_own_level")
        assert refusal(notes(client, forum, about)) == (403, "above_own_level")
    assert refusal(client.post(mod, f"/users/{uuid4()}/notes", {"text": "x"})) == (404, "not_found")
    assert refusal(client.get(mod, f"/users/{uuid4()}/notes")) == (404, "not_found")


def test_the_audit_log_hides_notes_from_whom_they_are_about(client: Client) -> None:
    admin, mod, other = (client.members.join(f"{name}1", name) for name in ("administrator", "moderator", "sysop"))
    write(client, admin, mod, "a marker")
    (entry,) = client.get(other, "/audit", type="staff_notes.written", subject=str(mod.id)).json()["items"]
    assert (entry["actor"]["username"], entry["subject"]["id"]) == ("administrator1", str(mod.id))
    assert client.get(mod, "/audit", type="staff_notes", subject=str(mod.id)).json()["items"] == []
    assert "marker" not in client.get(other, "/audit", subject=str(mod.id)).text
    events = rows_of(client.platform, "SELECT convert_from(data, 'UTF8') FROM es.event")
    assert not [row for row in events if "marker" in row[0]]


def test_bad_notes_are_refused_and_there_is_an_end(client: Client) -> None:
    mod, ada = client.members.join("mod", "moderator"), client.members.join("ada")
    for text in ("", " \n", "x" * (TEXT_MAX + 1)):
        assert refusal(write(client, mod, ada, text)) == (422, "bad_note")
    assert write(client, mod, ada, "x" * TEXT_MAX).status_code == 201
    full = StaffNotes.open(ada.id)
    for _ in range(NOTES_MAX):
        full.write("x")
    with pytest.raises(TooManyNotes):
        full.write("x")
