"""API keys: what may be issued, and what is recorded of one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.api_keys import ApiKey, BadKeyName, KeyExpiresInPast, Scope, ScopesMissing, check_expiry
from runtime.api_keys import key_sha, new_key
from tests.given import NOON

ID, ALICE = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize("name", ["seedbox", "x" * 64, "Mein Gerät", "手机"])
def test_a_key_has_the_name_that_its_user_gives_it(name: str) -> None:
    (event,) = ApiKey.issue(ID, ALICE, name, [Scope.READ]).collect_events()
    assert isinstance(event, ApiKey.Issued)
    assert (event.user_id, event.name, event.scopes) == (ALICE, name, ["read"])


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\u202eb", "\u200b", "a\x1bb"])
def test_names_that_show_nothing_or_mislead_are_refused(name: str) -> None:
    with pytest.raises(BadKeyName):
        ApiKey.issue(ID, ALICE, name, [Scope.READ])


def test_scopes_are_a_set_and_never_empty() -> None:
    assert ApiKey.issue(ID, ALICE, "n", [Scope.WRITE, Scope.READ, Scope.WRITE]).scopes == ["read", "write"]
    with pytest.raises(ScopesMissing):
        ApiKey.issue(ID, ALICE, "n", [])


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_key_expires_in_the_future_or_never(seconds: int) -> None:
    check_expiry(None, now=NOON)
    check_expiry(NOON + timedelta(seconds=1), now=NOON)
    with pytest.raises(KeyExpiresInPast):
        check_expiry(NOON + timedelta(seconds=seconds), now=NOON)


def test_a_key_is_revoked_once() -> None:
    key = ApiKey.issue(ID, ALICE, "n", [Scope.READ])
    key.collect_events()
    key.revoke("revoked")
    key.revoke("disabled")
    assert [(type(event), event.reason) for event in key.collect_events()] == [(ApiKey.Revoked, "revoked")]  # type: ignore[attr-defined]


def test_keys_have_one_form_and_differ() -> None:
    keys = {new_key() for _ in range(100)}
    assert len({key_sha(key) for key in keys}) == 100
    assert {len(key) for key in keys} == {47}


@pytest.mark.parametrize("change", [str.upper, str.strip, lambda k: k[:-1], lambda k: k + "A", lambda k: k + "\n"])
def test_what_is_not_exactly_a_key_has_no_hash(change: object) -> None:
    assert callable(change)
    key = f" {new_key()} " if change is str.strip else new_key()
    changed = change(key)
    assert (key_sha(changed) is None) is (change is not str.strip)
