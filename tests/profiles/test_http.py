"""Profiles over the API: describing oneself, showing a picture, and what staff may do about it."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from httpx import Response
from PIL import Image

from domain.profiles import AVATAR_BYTES_MAX, AVATARS_A_DAY, Profile
from queries.exports import archive_of
from tests.given import rows_of
from tests.members import Client, Member

pytestmark = pytest.mark.engine


def picture(red: int = 200, size: tuple[int, int] = (300, 150)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def site(shared_client: Client) -> Client:
    return shared_client


def show(
    site: Client, who: Member, data: bytes, name: str = "me.png", kind: str = "image/png", **headers: str
) -> Response:
    return site.send("PUT", "/users/me/avatar", who, None, headers, files={"file": (name, data, kind)})


def profile(site: Client, who: Member, seen_by: Member | None = None) -> Any:
    return site.get(seen_by or who, f"/users/{who.id}").json()["profile"]


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_empty_profile_is_shown_before_the_first_word(site: Client) -> None:
    assert profile(site, site.members.join("ada")) == {"title": "", "bio": "", "bio_html": "", "avatar": None}


def test_others_read_what_somebody_writes(site: Client) -> None:
    ada, grace = site.members.join("ada"), site.members.join("grace")
    for who, title in ((ada, " Archivist "), (grace, "Keeper")):
        answer = site.send("PUT", "/users/me/profile", who, {"title": title, "bio": f"I am *{who.username}*.\n"})
        assert answer.status_code == 200, answer.text
    shown = profile(site, ada, grace)
    assert (shown["title"], shown["bio"]) == ("Archivist", "I am *ada*.")
    assert shown["bio_html"] == "<p>I am <em>ada</em>.</p>\n"
    assert site.send("PUT", "/users/me/profile", ada, {"title": "Librarian"}).status_code == 200
    assert (profile(site, ada)["title"], profile(site, ada)["bio"]) == ("Librarian", "")
    assert profile(site, grace)["title"] == "Keeper"


def test_a_text_is_markup_and_no_program(site: Client) -> None:
    ada = site.members.join("ada")
    text = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](https://outside.example/y.png)"
    site.send("PUT", "/users/me/profile", ada, {"bio": text})
    shown = profile(site, ada)
    assert shown["bio"] == text
    assert "<script" not in shown["bio_html"]
    assert "<img" not in shown["bio_html"]


def test_what_somebody_writes_is_kept_under_its_own_key(site: Client) -> None:
    ada = site.members.join("ada")
    site.send("PUT", "/users/me/profile", ada, {"title": "a marker", "bio": "a marker too"})
    data = picture()
    name = show(site, ada, data).json()["avatar"].rpartition("/")[2]
    events = rows_of(site.platform, "SELECT convert_from(data, 'UTF8') FROM es.event")
    assert not [row for row in events if "marker" in row[0] or name in row[0]]
    replies = rows_of(site.platform, "SELECT convert_from(reply, 'UTF8') FROM es.command")
    assert not [row for row in replies if name in row[0]]
    blobs = rows_of(site.platform, "SELECT data FROM es.blob")
    assert blobs
    assert not [row for row in blobs if b"WEBP" in bytes(row[0])]


def test_a_ban_from_posting_reaches_the_profile(site: Client) -> None:
    mod, ada = site.members.join("moda", "moderator"), site.members.join("ada")
    assert site.post(mod, f"/users/{ada.id}/bans", {"kind": "post", "reason": "r"}).status_code == 201
    assert refusal(site.send("PUT", "/users/me/profile", ada, {"title": "x"})) == (403, "banned")
    assert refusal(show(site, ada, picture())) == (403, "banned")


def test_a_picture_is_served_as_nothing_but_a_picture(site: Client) -> None:
    ada, grace = site.members.join("ada"), site.members.join("grace")
    made = show(site, ada, picture(), "../../x.php", "text/html").json()
    assert made["avatar"] == profile(site, ada, grace)["avatar"]
    answer = site.api.get(made["avatar"])  # as a browser asks: without a token
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"] == 'inline; filename="avatar.webp"'
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content), formats=["WEBP"]).size == (256, 128)


def test_two_who_show_the_same_picture_do_not_share_an_address(site: Client) -> None:
    ada, grace = site.members.join("ada"), site.members.join("grace")
    first, second = (show(site, who, picture()).json()["avatar"] for who in (ada, grace))
    assert first != second
    site.send("DELETE", "/users/me/avatar", ada)
    site.members.catch_up()
    assert (site.api.get(first).status_code, site.api.get(second).status_code) == (404, 200)


def test_what_is_replaced_or_removed_is_not_served(site: Client) -> None:
    ada = site.members.join("ada")
    first, second = (show(site, ada, picture(red)).json()["avatar"] for red in (10, 250))
    site.members.catch_up()
    assert (site.api.get(first).status_code, site.api.get(second).status_code) == (404, 200)
    assert site.send("DELETE", "/users/me/avatar", ada).status_code == 200
    site.members.catch_up()
    assert refusal(site.api.get(second)) == (404, "not_found")
    assert profile(site, ada)["avatar"] is None
    for wrong in ("0" * 64, "x", "A" * 64):
        assert refusal(site.api.get(f"/api/v1/avatars/{wrong}")) == (404, "not_found")


def test_a_picture_of_which_the_key_is_destroyed_is_gone(site: Client) -> None:
    ada = site.members.join("ada")
    shown = show(site, ada, picture()).json()["avatar"]
    site.members.catch_up()
    site.platform.keyring.destroy(ada.id)
    assert site.api.get(shown).status_code == 404


def test_what_is_no_picture_changes_nothing(site: Client) -> None:
    ada, before = site.members.join("ada"), rows_of(site.platform, "SELECT count(*) FROM es.blob")
    for data, status, code in (
        (b"", 422, "unsupported_picture"),
        (picture()[:60], 422, "unreadable_picture"),
        (bytes(AVATAR_BYTES_MAX + 1), 413, "picture_too_large"),
    ):
        assert refusal(show(site, ada, data)) == (status, code)
    assert profile(site, ada)["avatar"] is None
    assert rows_of(site.platform, "SELECT count(*) FROM es.blob") == before


def test_a_file_of_the_largest_size_is_read(site: Client) -> None:
    ada, data = site.members.join("ada"), picture()
    assert show(site, ada, data + bytes(AVATAR_BYTES_MAX - len(data))).status_code == 200


def test_a_repeated_choice_gets_the_first_answer(site: Client) -> None:
    ada, key = site.members.join("ada"), {"Idempotency-Key": str(uuid4())}
    first, again = (show(site, ada, picture(), **key) for _ in range(2))
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()


def test_pictures_are_not_changed_all_day(site: Client) -> None:
    ada = site.members.join("ada")
    changed = Profile.open(ada.id)
    for n in range(AVATARS_A_DAY):
        changed.choose_avatar(f"{n:064x}", "0" * 64, now=datetime.now(UTC))
    ada.store.save(changed)
    assert refusal(show(site, ada, picture())) == (429, "too_many_avatars")


def test_staff_take_away_parts_for_a_reason(site: Client) -> None:
    mod, ada = site.members.join("mod", "forum_moderator"), site.members.join("ada")
    site.send("PUT", "/users/me/profile", ada, {"title": "Buy", "bio": "at my shop"})
    avatar = show(site, ada, picture()).json()["avatar"]
    wish = {"parts": ["bio", "avatar"], "reason": "advertising"}
    assert site.post(mod, f"/users/{ada.id}/profile/clear", wish).status_code == 200
    assert profile(site, ada) == {"title": "Buy", "bio": "", "bio_html": "", "avatar": None}
    assert site.api.get(avatar).status_code == 404
    sysop = site.members.join("root", "sysop")
    (entry,) = site.get(sysop, "/audit", subject=str(ada.id), type="profile.cleared").json()["items"]
    assert (entry["actor"]["username"], entry["reason"]) == ("mod", "advertising")
    assert entry["data"]["parts"] == ["avatar", "bio"]


def test_nobody_takes_away_parts_of_their_betters(site: Client) -> None:
    mod, ada = site.members.join("mod", "forum_moderator"), site.members.join("ada")
    sysop, path = site.members.join("root", "sysop"), "/users/{}/profile/clear"
    wish = {"parts": ["title"], "reason": "r"}
    assert refusal(site.post(ada, path.format(mod.id), wish)) == (403, "not_permitted")
    assert refusal(site.post(mod, path.format(sysop.id), wish)) == (403, "above_own_level")
    assert refusal(site.post(mod, path.format(mod.id), wish)) == (403, "above_own_level")
    assert refusal(site.post(mod, path.format(uuid4()), wish)) == (404, "not_found")
    for bad in ({"parts": [], "reason": "r"}, {"parts": ["name"], "reason": "r"}, {"parts": ["title"], "reason": " "}):
        assert site.post(mod, path.format(ada.id), bad).status_code == 422


def test_the_archive_about_oneself_has_the_picture(site: Client) -> None:
    ada, grace = site.members.join("ada"), site.members.join("grace")
    shown = show(site, ada, picture()).json()["avatar"]
    site.members.catch_up()

    def archive(who: Member) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(archive_of(site.platform, who.id, datetime.now(UTC))))

    assert archive(ada).read("avatar.webp") == site.api.get(shown).content
    assert "avatar.webp" not in archive(grace).namelist()
