"""Passwords: which are taken, and that judging one is never a burden."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from domain.passwords import LONG, PASSWORD_MAX, PASSWORD_MIN, WeakPassword, check_password
from runtime.passwords import hash_password, verify_password


def weak(password: str, username: str = "alice-long", email: str = "a.lice@mail.example.org") -> bool:
    try:
        check_password(password, username, email)
    except WeakPassword:
        return True
    return False


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", " spaces stay ", "пароль-надолго", "x" * 256, "x" * LONG, "🐴🔋📎✅🦊🍕🚲🎈",
     "kX9!vq2m",
     "passphrase of sixty-four characters and more, as everybody should be able to use one"],
)  # fmt: skip
def test_what_nobody_expects_may_be_a_password(password: str) -> None:
    assert not weak(password)


@pytest.mark.parametrize(
    "password",
    ["", "short12", "kX9!vq2", "x" * 257, "x" * 30, "password", "PassWord123", "P4$$w0rd", "12345678", "qwertyuiop",
     "aaaaaaab", "19901231", "abcabcabcabc", "hunter2hunter2"],
)  # fmt: skip
def test_what_is_soon_guessed_is_refused(password: str) -> None:
    assert weak(password)


@pytest.mark.parametrize(
    "password",
    ["alice-long", "ALICE-LONG", "a.lice@mail.example.org", "a.lice1990", "Alice-Long-Tracker", "example-1",
     "Bittorrent!",
     "trackertracker", "alice-longalice-long"],
)  # fmt: skip
def test_the_accounts_and_the_sites_own_words_count_for_nothing(password: str) -> None:
    assert weak(password)


def test_the_3000_most_frequent_passwords_are_refused() -> None:
    frequent = FREQUENCY_LISTS["passwords"][:3000]
    assert [password for password in frequent if not weak(password)] == []
    assert sum(len(password) >= PASSWORD_MIN for password in frequent) > 300, "not for their length alone"


@given(st.text(max_size=PASSWORD_MAX + 5))
@settings(max_examples=300, deadline=None)
def test_every_text_is_judged(password: str) -> None:
    if PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        weak(password)
    else:
        assert weak(password)


@pytest.mark.parametrize("name", ["İ" * 20 + "alice-long", "ﬀ" * 12 + "ALICE-LONG" * 3])
def test_letters_that_change_their_length_with_their_case_confuse_nobody(name: str) -> None:
    weak(name)


def test_no_character_is_cut_off_and_none_is_changed() -> None:
    """NFC and NFD of one word are two passwords: what is typed is what counts."""
    long, composed, decomposed = "x" * 255, "caf\u00e9 au lait!", "cafe\u0301 au lait!"
    stored = hash_password(long + "1")
    assert verify_password(stored, long + "1")
    assert not verify_password(stored, long + "2")
    assert not verify_password(stored, long)
    assert verify_password(hash_password(composed), composed)
    assert not verify_password(hash_password(composed), decomposed)
