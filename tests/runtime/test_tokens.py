"""Sessions: what a token opens, for how long, and what becomes of a stolen one."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from runtime import passwords
from runtime.passwords import Busy, hash_password, needs_rehash, verify_dummy, verify_password
from runtime.platform import Platform
from runtime.tokens import (
    AUDIENCE,
    HEADER,
    ISSUER,
    Pair,
    TokenReused,
    Tokens,
    Unauthenticated,
    end_session,
    end_sessions,
    forget_ended_sessions,
    session_of,
)
from tests.conftest import SECRETS
from tests.given import rows_of

NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
ADA, SESSION = uuid4(), uuid4()
SECRET = b"s" * 32
TOKENS = Tokens(SECRET)
SECOND = timedelta(seconds=1)


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, changed; None leaves one out."""
    seconds = int(NOW.timestamp())
    good = {
        "exp": seconds + 600, "iat": seconds, "sub": str(ADA), "jti": "1", "aud": AUDIENCE, "iss": ISSUER,
        "typ": "access", "sid": str(SESSION),
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(header: dict[str, Any] | None = None, **changes: Any) -> str:
    # not jwt.encode: that refuses to write some of what we have to refuse to read
    return jwt.api_jws.encode(json.dumps(claims(**changes)).encode(), SECRET, "HS256", headers=header)


def test_a_token_says_who_and_which_session_for_ten_minutes() -> None:
    access = TOKENS.verify(TOKENS.access_token(ADA, SESSION, NOW), NOW + 599 * SECOND)
    assert (access.user_id, access.session_id) == (ADA, SESSION)
    with pytest.raises(Unauthenticated):
        TOKENS.verify(TOKENS.access_token(ADA, SESSION, NOW), NOW + 600 * SECOND)


@pytest.mark.parametrize("name", sorted(claims()))
def test_every_claim_is_needed(name: str) -> None:
    assert TOKENS.verify(signed(), NOW).user_id == ADA
    with pytest.raises(Unauthenticated):
        TOKENS.verify(signed(**{name: None}), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(NOW.timestamp())},
        {"exp": NOW.timestamp() + 60.5},
        {"exp": "4102444800"},
        {"exp": 1e300},
        {"iat": int(NOW.timestamp()) + 31},
        {"nbf": int(NOW.timestamp()) + 60},
        {"iss": ISSUER[:-1]},
        {"iss": [ISSUER]},
        {"aud": [AUDIENCE]},
        {"aud": "other"},
        {"typ": "refresh"},
        {"typ": "totp_pending"},
        {"sub": "not an id"},
        {"sid": "not an id"},
    ],
)
def test_a_claim_with_another_value_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(signed(**changes), NOW)


def test_a_signers_clock_may_run_ahead_by_half_a_minute() -> None:
    assert TOKENS.verify(signed(iat=int(NOW.timestamp()) + 30), NOW).user_id == ADA


@pytest.mark.parametrize("header", [{"kid": "../x"}, {"jku": "http://evil/"}, {"crit": ["exp"]}, {"typ": "x"}])
def test_a_header_with_anything_of_its_own_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(signed(header), NOW)


def test_a_token_under_another_signature_is_refused() -> None:
    good = signed()
    head, body, signature = good.split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    forged = [
        jwt.encode(claims(), b"x" * 32, "HS256"),
        jwt.encode(claims(), SECRET * 2, "HS512"),
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{part(claims(sub=str(uuid4())))}.{signature}",
        f"{good}=",
        f" {good}",
        f"{good}.x",
        "a" * 1_000_000,
        "..",
        "",
    ]
    for token in forged:
        with pytest.raises(Unauthenticated):
            TOKENS.verify(token, NOW)


def test_the_header_is_the_one_that_the_library_writes() -> None:
    assert jwt.encode({}, SECRET, "HS256").split(".")[0] == HEADER


def test_while_the_key_changes_the_old_one_counts_and_signs_nothing() -> None:
    """F29: an overlap, and after it the old key opens nothing."""
    old, new = Tokens(b"o" * 32), Tokens(b"n" * 32)
    changing = Tokens(b"n" * 32, previous=b"o" * 32)
    before = old.access_token(ADA, SESSION, NOW)
    assert changing.verify(before, NOW).user_id == ADA
    assert new.verify(changing.access_token(ADA, SESSION, NOW), NOW).user_id == ADA
    for tokens, token in ((new, before), (old, changing.access_token(ADA, SESSION, NOW)), (changing, signed())):
        with pytest.raises(Unauthenticated):
            tokens.verify(token, NOW)


# --- sessions


def start(platform: Platform, user_id: UUID = ADA, now: datetime = NOW) -> Pair:
    with platform.pool.connection() as connection:
        return platform.tokens.start_session(connection, user_id, now)


def rotate(platform: Platform, token: str, now: datetime) -> Pair:
    with platform.pool.connection() as connection:
        return platform.tokens.rotate(connection, token, now)


def test_a_refresh_gives_a_new_pair_for_the_same_session(notes: Platform) -> None:
    first = start(notes)
    second = rotate(notes, first.refresh_token, NOW + 60 * SECOND)
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    assert notes.tokens.verify(second.access_token, NOW + 60 * SECOND).user_id == ADA


def test_within_the_grace_a_rotated_token_gives_the_same_successor(notes: Platform) -> None:
    first = start(notes).refresh_token
    second = rotate(notes, first, NOW).refresh_token
    assert rotate(notes, first, NOW + 20 * SECOND).refresh_token == second
    assert rotate(notes, second, NOW + 21 * SECOND).refresh_token != second


def test_a_key_that_changes_within_the_grace_loses_no_session(notes: Platform) -> None:
    """The successor was sealed under the old key: after the overlap only the repeat fails, and no session ends."""
    first = start(notes).refresh_token
    second = rotate(notes, first, NOW).refresh_token
    changing, after = Tokens(b"n" * 32, previous=SECRETS.jwt), Tokens(b"n" * 32)
    with notes.pool.connection() as connection:
        assert changing.rotate(connection, first, NOW + SECOND).refresh_token == second
        with pytest.raises(Unauthenticated):
            after.rotate(connection, first, NOW + SECOND)
        assert after.rotate(connection, second, NOW + 2 * SECOND).session_id


def test_twenty_parallel_refreshes_give_one_successor(notes: Platform) -> None:
    first = start(notes).refresh_token
    with ThreadPoolExecutor(8) as threads:
        successors = {p.refresh_token for p in threads.map(lambda _: rotate(notes, first, NOW), range(20))}
    assert len(successors) == 1
    assert rows_of(notes, "SELECT count(*) FROM credentials.refresh_token") == [(2,)]


def test_a_later_reuse_ends_the_session_of_thief_and_victim(notes: Platform) -> None:
    first = start(notes)
    second = rotate(notes, first.refresh_token, NOW)
    with pytest.raises(TokenReused) as reused:
        rotate(notes, first.refresh_token, NOW + 21 * SECOND)
    assert (reused.value.user_id, reused.value.session_id, reused.value.code) == (
        ADA,
        first.session_id,
        "unauthenticated",
    )
    with pytest.raises(Unauthenticated):
        rotate(notes, second.refresh_token, NOW + 22 * SECOND)
    assert rows_of(notes, "SELECT revoked_at FROM credentials.session") == [(NOW + 21 * SECOND,)]


def test_other_strings_are_no_refresh_tokens(notes: Platform) -> None:
    pair = start(notes)
    for token in ("", "x", pair.access_token, pair.refresh_token[:-1], pair.refresh_token + "x", "é" * 43, "A" * 43):
        with pytest.raises(Unauthenticated):
            rotate(notes, token, NOW)


def test_a_session_lives_as_long_as_it_is_refreshed_and_not_for_ever(notes: Platform) -> None:
    idle = start(notes).refresh_token
    with pytest.raises(Unauthenticated):
        rotate(notes, idle, NOW + timedelta(days=14))
    token, now = start(notes).refresh_token, NOW
    while now < NOW + timedelta(days=85):
        now += timedelta(days=10)
        if now < NOW + timedelta(days=90):
            token = rotate(notes, token, now).refresh_token
    with pytest.raises(Unauthenticated):
        rotate(notes, token, NOW + timedelta(days=90))


def test_an_ended_session_refreshes_nothing(notes: Platform) -> None:
    mine, other, bobs = start(notes), start(notes), start(notes, uuid4())
    with notes.pool.connection() as connection:
        assert session_of(connection, mine.refresh_token) == mine.session_id
        assert end_session(connection, mine.session_id, NOW)
        assert not end_session(connection, mine.session_id, NOW)
        with pytest.raises(Unauthenticated):
            notes.tokens.rotate(connection, mine.refresh_token, NOW)
        assert end_sessions(connection, ADA, NOW, but=other.session_id) == 0
        assert end_sessions(connection, ADA, NOW) == 1
        assert notes.tokens.rotate(connection, bobs.refresh_token, NOW).user_id == bobs.user_id


def test_sessions_that_ended_long_ago_are_forgotten(notes: Platform) -> None:
    start(notes)
    recent = start(notes, now=NOW + timedelta(days=30))
    with notes.pool.connection() as connection:
        assert forget_ended_sessions(connection, NOW + timedelta(days=45)) == 1
    assert rows_of(notes, "SELECT session_id FROM credentials.refresh_token") == [(recent.session_id,)]


def test_no_token_is_stored_as_it_is(notes: Platform) -> None:
    first = start(notes).refresh_token
    second = rotate(notes, first, NOW).refresh_token
    (stored,) = rows_of(notes, "SELECT string_agg(t::text, '') FROM credentials.refresh_token t")[0]
    for token in (first, second):
        assert token not in stored
        assert token.encode().hex() not in stored


# --- passwords


def test_a_password_opens_only_what_it_was_set_for() -> None:
    stored = hash_password(" pässwörd ")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(stored, " pässwörd ")
    assert not verify_password(stored, "pässwörd")
    assert not verify_password(None, "no account has this password")
    assert not verify_password("not a hash", "x")
    assert not needs_rehash(stored)
    verify_dummy("x")


def test_a_crowd_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.05)
    for _ in range(passwords.AT_ONCE):
        assert passwords._stoves.acquire(blocking=False)
    try:
        with pytest.raises(Busy) as busy:
            hash_password("x")
    finally:
        for _ in range(passwords.AT_ONCE):
            passwords._stoves.release()
    assert busy.value.status == 503
    assert verify_password(hash_password("x"), "x")
