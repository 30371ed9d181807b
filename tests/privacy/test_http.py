"""Privacy over the API: choosing, what became of the choice, and what others see of a profile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.announces import Event
from domain.default_data import GROUPS
from domain.permissions import Permission
from domain.privacy import LISTS, PrivacyKey, PrivacySettings
from projections import ALL
from projections.privacy import privacy
from queries.privacy import profile_private
from runtime.platform import Platform
from tests.given import projected, rows_of
from tests.in_process import TestClient
from tests.members import Client, Member, Members
from tests.peers.edges import ShippingEdge, announce

pytestmark = pytest.mark.engine

PATH = "/users/me/privacy"
#: All but some: a score of 20, the highest that is not very high.
HIGH = sorted(LISTS) + [PrivacyKey.LAST_SEEN, PrivacyKey.NOTIFICATIONS]


@pytest.fixture
def client(shared_client: Client) -> Client:
    return shared_client


@pytest.fixture
def alone(members: Members, api: TestClient) -> Client:
    """A site of its own: for tests that change a group, list everything or have an edge."""
    return Client(members, api)


def choose(client: Client, who: Member, **settings: str) -> Any:
    answer = client.send("PUT", PATH, who, settings)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_everything_is_shown_before_the_first_choice(client: Client) -> None:
    ada = client.members.join("ada")
    shown = client.get(ada, PATH).json()
    assert set(shown["settings"]) == set(PrivacyKey)
    assert set(shown["settings"].values()) == {"shown", "list"}
    assert (shown["level"], shown["score"], shown["version"]) == ("Off", 0, 0)


def test_a_choice_is_shown_with_its_level(client: Client) -> None:
    ada, grace = client.members.join("ada"), client.members.join("grace")
    made = choose(client, ada, lastseen="hidden", snatched="count", seeding="hidden")
    assert (made["level"], made["revealed"]) == ("Low", [])
    shown = client.get(ada, PATH).json()
    assert (shown["level"], shown["score"], shown["version"]) == ("Low", 4, made["version"])
    assert {key: value for key, value in shown["settings"].items() if value not in ("shown", "list")} == {
        "lastseen": "hidden", "snatched": "count", "seeding": "hidden",
    }  # fmt: skip
    assert client.get(grace, PATH).json()["score"] == 0
    assert client.get(grace, f"/users/{ada.id}").json()["privacy_level"] == "Low"
    assert client.get(ada, f"/users/{grace.id}").json()["privacy_level"] == "Off"


def test_what_is_left_out_is_shown_again(client: Client) -> None:
    ada = client.members.join("ada")
    choose(client, ada, lastseen="hidden", seeding="hidden")
    choose(client, ada, seeding="count")
    shown = client.get(ada, PATH).json()["settings"]
    assert (shown["lastseen"], shown["seeding"]) == ("shown", "count")


def test_whoever_wishes_what_cannot_be_hidden_is_told(client: Client) -> None:
    ada = client.members.join("ada")
    assert choose(client, ada, ratio="hidden")["revealed"] == ["ratio"]
    assert choose(client, ada, uploads="count", notifications="hidden")["revealed"] == ["uploads"]
    assert client.get(ada, PATH).json()["settings"]["uploads"] == "list"


def test_what_is_no_setting_is_refused(client: Client) -> None:
    ada = client.members.join("ada")
    wrong: list[Any] = [{"ratio": "count"}, {"ratio": "list"}, {"uploads": "shown"}, {"ratio": None}, []]
    for body in (*wrong, {"bonuspoints": "hidden"}):
        assert client.send("PUT", PATH, ada, body).status_code == 422
    assert client.get(ada, PATH).json()["version"] == 0


def test_a_choice_is_made_on_what_the_caller_looks_at(client: Client) -> None:
    ada = client.members.join("ada")
    early = client.send("PUT", PATH, ada, {"lastseen": "hidden"}, {"If-Match": "1"})
    assert (early.status_code, early.json()["code"]) == (409, "version_conflict")
    version = choose(client, ada, lastseen="hidden")["version"]
    stale = client.send("PUT", PATH, ada, {}, {"If-Match": str(version - 1)})
    assert stale.status_code == 409
    assert client.send("PUT", PATH, ada, {}, {"If-Match": str(version)}).status_code == 200
    again = client.send("PUT", PATH, ada, {}).json()
    assert (again["version"], again["position"]) == (version + 1, 0)


def test_hidden_numbers_are_null_and_named(alone: Client) -> None:
    ada, grace = alone.members.join("ada", points=5), alone.members.join("grace")
    film = ada.uploads()
    edge = ShippingEdge(alone.platform)
    edge.ship([announce(n, Event.REGULAR, user=ada.id, torrent=film.id, up=100 * n) for n in range(3)])
    choose(alone, ada, uploaded="hidden", ratio="hidden", snatched="count", seeding="hidden")
    stats = alone.get(grace, f"/users/{ada.id}/stats").json()
    hidden = ["uploaded", "raw_uploaded", "ratio", "buffer", "torrents"]
    hidden += ["seeding", "seed_size", "seed_time_s", "average_seed_time_s"]
    hidden += ["bonus_points", "bonus_spent", "bonus_earned"]
    assert stats["privacy"] == dict.fromkeys(hidden, "hidden")
    assert {stats[name] for name in hidden} == {None}
    assert (stats["downloaded"], stats["snatched"], stats["leeching"]) == (0, 0, 0)
    other = alone.get(ada, f"/users/{grace.id}/stats").json()
    assert (other["privacy"], other["uploaded"]) == ({}, 0)


def test_history_is_marked_for_staff(alone: Client) -> None:
    ada, staff = alone.members.join("ada"), alone.members.join("linus", "moderator")
    film = ada.uploads()
    ShippingEdge(alone.platform).ship([announce(n, user=ada.id, torrent=film.id, up=100 * n) for n in range(2)])
    choose(alone, ada, uploaded="hidden", ratio="hidden")
    period = {"from": "2031-01-01T00:00:00Z", "to": "2031-01-02T00:00:00Z"}
    seen, own = (alone.get(who, f"/users/{ada.id}/history", **period).json() for who in (staff, ada))
    assert seen["privacy"] == {"uploaded": "overridden"}
    assert own["privacy"] == {}
    assert [day["uploaded"] for day in seen["items"]] == [day["uploaded"] for day in own["items"]] == [100]


def without_override(alone: Client, slug: str) -> None:
    """Let a group see private things, but not what users hide."""
    sysop = alone.members.join("root", "sysop")
    granted = next(permissions for name, _, _, permissions in GROUPS if name == slug)
    rights = granted - {Permission.USERS_OVERRIDE_PRIVACY, Permission.USERS_DISABLE, Permission.USERS_SEE_SWARMS}
    answer = alone.send("PUT", f"/groups/{slug}/permissions", sysop, {"permissions": sorted(rights)})
    assert answer.status_code == 200, answer.text


def test_the_right_to_see_addresses_does_not_show_hidden_numbers(alone: Client) -> None:
    ada, staff = alone.members.join("ada"), alone.members.join("linus", "moderator")
    film = ada.uploads()
    ShippingEdge(alone.platform).ship([announce(n, user=ada.id, torrent=film.id, up=100 * n) for n in range(2)])
    choose(alone, ada, uploaded="hidden", ratio="hidden")
    without_override(alone, "moderator")
    period = {"from": "2031-01-01T00:00:00Z", "to": "2031-01-02T00:00:00Z"}
    history = alone.get(staff, f"/users/{ada.id}/history", **period).json()
    assert history["privacy"] == {"uploaded": "hidden"}
    assert [(day["uploaded"], day["downloaded"]) for day in history["items"]] == [(None, 0)]
    refused = alone.get(staff, f"/users/{ada.id}/stats/transfers")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")


def test_a_swarm_does_not_name_who_hides_in_it(alone: Client) -> None:
    ada, grace = alone.members.join("ada"), alone.members.join("grace")
    staff, film = alone.members.join("linus", "moderator"), ada.uploads()
    ShippingEdge(alone.platform).ship(
        [announce(0, user=ada.id, torrent=film.id, up=5), announce(1, user=grace.id, torrent=film.id, left=7)]
    )

    def seen(who: Member) -> list[tuple[Any, ...]]:
        peers = alone.get(who, f"/torrents/{film.id}/peers").json()["items"]
        return [(one["user"] and one["user"]["username"], one["uploaded"], one["privacy"]) for one in peers]

    choose(alone, ada, seeding="count", uploaded="hidden", ratio="hidden")
    choose(alone, grace, seeding="hidden")  # she leeches
    assert seen(grace) == [(None, None, {"user": "hidden", "uploaded": "hidden"}), ("grace", 0, {})]
    assert seen(staff) == [("ada", 5, {"user": "overridden", "uploaded": "overridden"}), ("grace", 0, {})]
    assert seen(ada)[0] == ("ada", 5, {})
    choose(alone, grace, leeching="count")
    assert seen(ada) == [("ada", 5, {}), (None, 0, {"user": "hidden"})]


def test_hidden_uploads_are_in_no_list_of_their_uploader(alone: Client) -> None:
    ada, grace = alone.members.join("ada"), alone.members.join("grace")
    film, album = ada.uploads("A Film"), grace.uploads("An Album")
    ada.uploads("Another Film")

    def listed(who: Member, **wanted: str) -> list[str]:
        return sorted(item["name"] for item in alone.get(who, "/torrents", **wanted).json()["items"])

    choose(alone, ada, uploads="count", uniquegroups="count")
    assert listed(grace, uploader=str(ada.id)) == []
    assert listed(ada, uploader=str(ada.id)) == ["A Film", "Another Film"]
    assert listed(grace) == ["A Film", "An Album", "Another Film"]
    detail = alone.get(grace, f"/torrents/{film.id}").json()
    assert (detail["uploader"], detail["privacy"]) == (None, {"uploader": "hidden"})
    found = alone.get(grace, "/search/torrents", q="film").json()["items"]
    assert [item["uploader"] for item in found] == [None, None]
    assert alone.get(ada, f"/torrents/{album.id}").json()["uploader"]["username"] == "grace"


def test_a_question_waits_for_the_choice(client: Client) -> None:
    ada, grace = client.members.join("ada"), client.members.join("grace")
    position = client.at_once("PUT", PATH, ada, {"ratio": "hidden", "uploaded": "hidden"}).json()["position"]
    projected(client.platform, *(one for one in ALL if one is not privacy))
    waiting = {"X-Min-Position": str(position)}
    assert client.at_once("GET", f"/users/{ada.id}/stats", grace, headers=waiting).status_code == 503
    projected(client.platform, privacy)
    assert client.at_once("GET", f"/users/{ada.id}/stats", grace, headers=waiting).json()["uploaded"] is None


def test_a_private_profile_is_found_by_its_user_and_by_who_overrides_privacy_alone(client: Client) -> None:
    zelda, zeldor, link = (client.members.join(name) for name in ("zelda", "zeldor", "link"))
    forum = client.members.join("zeno", "forum_moderator")

    def found(who: Member, q: str) -> tuple[list[str], dict[str, int]]:
        answer = client.get(who, "/search/users", q=q).json()
        return [one["username"] for one in answer["items"]], answer["facets"]["group"]

    choose(client, zelda, **dict.fromkeys(HIGH, "hidden"))
    assert client.get(link, f"/users/{zelda.id}").json()["privacy_level"] == "High"
    assert found(link, "zeld") == (["zelda", "zeldor"], {"member": 2})
    assert choose(client, zelda, **dict.fromkeys(PrivacyKey, "hidden"))["level"] == "Very High"
    assert found(link, "zeld") == (["zeldor"], {"member": 1}), "neither named nor counted"
    assert found(link, "zelda") == found(link, "zeldb") == (["zeldor"], {"member": 1}), "nor told apart from nobody"
    assert found(zelda, "zelda")[0] == ["zelda", "zeldor"]
    assert found(forum, "zelda") == (["zelda", "zeldor"], {"member": 2})
    assert found(zeldor, "zelda") == (["zeldor"], {"member": 1})
    choose(client, zelda)
    assert found(link, "zelda")[0] == ["zelda", "zeldor"]


@given(st.sets(st.sampled_from(PrivacyKey)), st.sets(st.sampled_from(sorted(LISTS))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_question_for_private_profiles_is_as_exact_as_the_rule(
    shared_platform: Platform, hidden: set[PrivacyKey], counted: set[PrivacyKey]
) -> None:
    chosen = PrivacySettings(frozenset(hidden), frozenset(counted - hidden))
    row = "(SELECT %s::text[] AS hidden, %s::text[] AS counted) p"
    query = f"SELECT {profile_private('p')} FROM {row}"
    assert rows_of(shared_platform, query, [sorted(chosen.hidden), sorted(chosen.counted)]) == [(chosen.private,)]
