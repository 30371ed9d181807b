"""The keys that travel in URLs: seen by their owner, reset, and their history by senior staff."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.key_resets import RESETS_MAX
from projections.key_resets import key_resets
from runtime.rebuild import verify
from tests.bans.callers import Site, refusal
from tests.given import rows_of

pytestmark = pytest.mark.engine


def test_the_owner_sees_its_keys_and_resets_each_by_itself(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")

    def keys(who: object = alice) -> tuple[str, str]:
        assert who in (alice, bob)
        member = alice if who is alice else bob
        passkey = site.send("GET", "/users/me/passkey", member).json()
        rss = site.send("GET", "/users/me/rss-key", member).json()
        assert passkey["announce_urls"][0].endswith(passkey["passkey"])
        assert rss["feed_urls"][0].endswith(rss["rss_key"])
        return passkey["passkey"], rss["rss_key"]

    first, of_bob = keys(), keys(bob)
    assert first[0] == site.send("GET", "/users/me", alice).json()["passkey"]
    new = site.send("POST", "/users/me/passkey/reset", alice).json()["passkey"]
    assert keys() == (new, first[1])
    new_rss = [site.send("POST", "/users/me/rss-key/reset", alice).json()["rss_key"] for _ in range(2)]
    assert keys() == (new, new_rss[1])
    assert len({*first, new, *new_rss}) == 5
    assert keys(bob) == of_bob


def test_senior_staff_see_when_keys_were_reset_and_never_a_key(site: Site) -> None:
    moderator, alice, bob = (site.members.join(name, group) for name, group in
                             (("moda", "moderator"), ("alice", "member"), ("bob", "member")))  # fmt: skip
    shown = [site.send("POST", f"/users/me/{kind}/reset", alice).json() for kind in ("passkey", "rss-key", "passkey")]
    site.send("POST", "/users/me/passkey/reset", bob)
    path = f"/users/{alice.id}/key-resets"
    first = site.send("GET", f"{path}?limit=2", moderator).json()
    rest = site.send("GET", f"{path}?limit=2&cursor={first['next_cursor']}", moderator).json()
    items = first["items"] + rest["items"]
    assert [(item["kind"], item["key_no"], item["by"]) for item in items] == [
        ("passkey", 3, str(alice.id)), ("rss_key", 2, str(alice.id)), ("passkey", 2, str(alice.id)),
    ]  # fmt: skip
    keys = [answer[name] for answer in shown for name in ("passkey", "rss_key") if name in answer]
    assert len(keys) == 3
    assert not any(key in str(items) for key in keys)
    assert refusal(site.send("GET", path, bob)) == (403, "not_permitted")


@pytest.mark.parametrize("kind", ["passkey", "rss-key"])
def test_a_key_is_reset_five_times_a_day(site: Site, kind: str) -> None:
    alice, bob, path = site.members.join("alice"), site.members.join("bob"), f"/users/me/{kind}/reset"
    for _ in range(RESETS_MAX):
        assert site.at_once("POST", path, alice).status_code == 200
    refused = site.at_once("POST", path, alice)
    assert refusal(refused) == (429, "too_many_resets")
    assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
    assert site.at_once("POST", path, bob).status_code == 200


def test_of_many_resets_at_once_no_more_than_five_pass(site: Site) -> None:
    alice = site.members.join("alice")
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda _: site.at_once("POST", "/users/me/rss-key/reset", alice).status_code, range(12))
        )
    assert answers.count(200) <= RESETS_MAX
    assert set(answers) <= {200, 409, 429}
    made = rows_of(site.platform, "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type"
                                  " WHERE t.name = 'feed_key.reset'")  # fmt: skip
    assert made == [(answers.count(200),)]


def test_the_table_is_built_again_as_it_is(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    for who, kind in ((alice, "passkey"), (bob, "rss-key"), (alice, "rss-key")):
        site.send("POST", f"/users/me/{kind}/reset", who)
    site.members.catch_up()
    assert [(t.table, t.rows, t.differences) for t in verify(site.platform, key_resets)] == [("key_reset", 3, 0)]
