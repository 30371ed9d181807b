"""How old is what is known of rights, and what an API refuses that does not know them any more?"""

from __future__ import annotations

from typing import Any

import pytest

from domain.base import SYSTEM
from domain.users import User
from projections.bans import bans
from projections.users import users
from runtime import knowledge
from runtime.knowledge import RIGHTS_KNOWN_FOR_S, Knowledge
from runtime.platform import RIGHTS, Platform
from tests.bans.callers import Site, refusal
from tests.given import projected
from tests.members import Member

NOBODY_ASKS: Any = None


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_age_is_the_lag_and_the_time_since_it_was_asked() -> None:
    clock, lag = Clock(), [0.0]
    known = Knowledge(lambda _: lag[0], clock)
    known.refresh(NOBODY_ASKS)
    clock.now_s += 30
    assert (known.age_s, known.is_good) == (RIGHTS_KNOWN_FOR_S, True)
    clock.now_s += 1  # the database is away
    assert not known.is_good
    known.refresh(NOBODY_ASKS)
    assert (known.age_s, known.is_good) == (0, True)
    lag[0] = 31.0
    known.refresh(NOBODY_ASKS)  # at the same moment: nobody asks
    assert known.is_good
    clock.now_s += 1
    known.refresh(NOBODY_ASKS)
    assert (known.age_s, known.is_good) == (31, False)


def test_what_cannot_be_asked_makes_nothing_younger() -> None:
    def away(_: object) -> float:
        raise ConnectionError

    clock = Clock()
    known = Knowledge(away, clock)
    for _ in range(31):
        clock.now_s += 1
        with pytest.raises(ConnectionError):
            known.refresh(NOBODY_ASKS)
    assert not known.is_good


@pytest.mark.engine
def test_only_what_the_follower_reads_makes_it_late(
    site: Site, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "GOOD_ENOUGH_S", -1.0)
    site.members.catch_up()

    def late() -> tuple[bool, bool]:
        with platform.pool.connection() as connection:
            return platform.knowledge("users")._ask(connection) > 0, platform.knowledge("bans")._ask(connection) > 0

    assert late() == (False, False)
    site.members.join("ada")  # the users follow, the bans have nothing to do with it
    assert late() == (False, False)
    platform.store(SYSTEM).save(User.register(SYSTEM, "bob", "bob@example.org", "member"))
    assert late() == (True, False)
    projected(platform, users)
    assert late() == (False, False)


@pytest.mark.engine
def test_while_little_waits_nobody_looks_closer(site: Site, platform: Platform) -> None:
    """Facts that the bans do not read wait for them: that is at most so long, and costs one look into an index."""
    site.members.join("ada")
    with platform.pool.connection() as connection:
        assert 0 < platform.knowledge("bans")._ask(connection) <= knowledge.GOOD_ENOUGH_S
    projected(platform, bans)
    with platform.pool.connection() as connection:
        assert platform.knowledge("bans")._ask(connection) == 0


@pytest.mark.engine
def test_an_api_that_does_not_know_rights_refuses_what_needs_them_and_serves_the_rest(
    site: Site, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is not known to be disabled is not told so either: the answer is to come again."""
    admin, ada = site.members.join("admin1", "administrator"), site.members.join("ada")
    site.members.catch_up()
    clock = Clock()
    platform.rights = Knowledge(platform.knowledge(*RIGHTS)._ask, clock)
    monkeypatch.setattr(knowledge, "RIGHTS_KNOWN_FOR_S", 0.0)
    monkeypatch.setattr(knowledge, "GOOD_ENOUGH_S", -1.0)

    def then(who: Member, path: str, **options: Any) -> tuple[int, str]:
        clock.now_s += 1
        answer = site.at_once(options.pop("method", "GET"), path, who, **options)
        assert answer.headers.get("retry-after") == ("30" if answer.status_code == 503 else None)
        return refusal(answer) if answer.is_error else (answer.status_code, "")

    assert then(ada, "/torrents") == then(admin, "/tracker/announce-rules") == (200, "")
    user = platform.store(SYSTEM).get(User, ada.id)
    user.disable("r")
    platform.store(SYSTEM).save(user)
    unknown = (503, "rights_unknown")
    assert then(ada, "/torrents") == then(admin, "/tracker/announce-rules") == then(ada, "/requests") == unknown
    assert then(ada, f"/users/{ada.id}/permissions") == (503, "rights_unknown")
    grant = {"points": 1, "reason": "r"}
    assert then(admin, f"/users/{admin.id}/bonus/grants", method="POST", body=grant) == unknown
    assert then(ada, "/users/me") == (200, "")
    assert site.at_once("GET", "/users/me", ada).json()["permissions"] == []
    assert then(ada, "/users/me/passkey/reset", method="POST") == (200, "")
    site.members.catch_up()
    assert then(admin, "/tracker/announce-rules") == (200, "")
    assert then(ada, "/torrents") == (403, "account_disabled")
