"""A key opens what it should, for whom it should, until the passkey is reset."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from domain.announce_keys import announce_key, passkey, verifies

SECRET = b"s" * 32
ANN, BOB = UUID(int=1), UUID(int=2)
FILM, BOOK = UUID(int=11), UUID(int=12)


def test_a_key_is_the_passkey_and_a_mac_of_the_torrent() -> None:
    key = announce_key(SECRET, ANN, 1, FILM)
    assert re.fullmatch("[a-z2-7]{32}", key)
    assert key.startswith(passkey(SECRET, ANN, 1))
    assert announce_key(SECRET, ANN, 1, BOOK)[:16] == key[:16]
    assert announce_key(SECRET, ANN, 1, BOOK)[16:] != key[16:]


def test_keys_do_not_change_between_releases() -> None:
    """Every .torrent that was ever downloaded carries one."""
    assert announce_key(SECRET, ANN, 1, FILM) == "s5iouhknpeuinwvhd5efoq65mynayhjv"
    assert announce_key(SECRET, ANN, 1, None) == "s5iouhknpeuinwvhx62ero75336tqsjr"


def test_a_key_opens_its_torrent_only_and_the_general_key_opens_all() -> None:
    key, general = announce_key(SECRET, ANN, 1, FILM), announce_key(SECRET, ANN, 1, None)
    assert verifies(key, SECRET, ANN, 1, FILM)
    assert not verifies(key, SECRET, ANN, 1, BOOK)
    assert verifies(general, SECRET, ANN, 1, FILM)
    assert verifies(general, SECRET, ANN, 1, BOOK)


def test_a_reset_or_another_user_or_another_site_ends_it() -> None:
    for key in (announce_key(SECRET, ANN, 1, FILM), announce_key(SECRET, ANN, 1, None)):
        assert not verifies(key, SECRET, ANN, 2, FILM)
        assert not verifies(key, SECRET, BOB, 1, FILM)
        assert not verifies(key, b"t" * 32, ANN, 1, FILM)


@pytest.mark.parametrize("odd", ["", "a" * 31, "a" * 33, "ä" * 32, "\0" * 32, "\ud800" * 32])
def test_no_odd_text_is_a_key(odd: str) -> None:
    assert not verifies(odd, SECRET, ANN, 1, FILM)


def test_a_key_in_capitals_is_another_key() -> None:
    assert not verifies(announce_key(SECRET, ANN, 1, FILM).upper(), SECRET, ANN, 1, FILM)


def test_long_site_secrets_are_used_whole() -> None:
    assert passkey(b"a" * 100, ANN, 1) != passkey(b"a" * 99 + b"b", ANN, 1)
