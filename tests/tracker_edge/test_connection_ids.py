"""Connection ids prove an address for two minutes, to every edge of the site, and cannot be made up."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker_edge.connection_ids import EPOCH_S, ConnectionIds, Proof

SECRET = b"site secret of the tests" * 2
FOUR, OTHER, SIX = b"\x08\x08\x08\x08", b"\x08\x08\x08\x09", b"\x26" + bytes(15)
NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("age_s", "proof"),
    [
        (0, Proof.VALID),
        (59, Proof.VALID),
        (119, Proof.VALID),
        (120, Proof.VALID),
        (121, Proof.STALE),
        (300, Proof.STALE),
        (3600, Proof.STALE),
        (3601, Proof.NONE),
        (-10, Proof.VALID),
        (-11, Proof.STALE),
        (-3601, Proof.NONE),
        (86400 * 365, Proof.NONE),
    ],
)
@pytest.mark.parametrize("now", [NOW, EPOCH_S * 20_000, EPOCH_S * 20_000 + 60, 2**32 - 5, 2**32 + 30])
def test_an_id_is_valid_for_two_minutes(age_s: int, proof: Proof, now: int) -> None:
    ids = ConnectionIds(SECRET)
    assert ids.check(ids.issue(FOUR, now - age_s), FOUR, now) is proof


def test_an_id_holds_after_a_restart_and_on_every_edge_of_the_site() -> None:
    given_before = ConnectionIds(SECRET).issue(SIX, NOW)
    assert ConnectionIds(SECRET).check(given_before, SIX, NOW + 100) is Proof.VALID
    assert ConnectionIds(SECRET + b"x").check(given_before, SIX, NOW + 100) is Proof.NONE


@pytest.mark.parametrize("address", [OTHER, SIX, bytes(4)])
def test_an_id_of_another_address_proves_nothing(address: bytes) -> None:
    ids = ConnectionIds(SECRET)
    assert ids.check(ids.issue(FOUR, NOW), address, NOW) is Proof.NONE


def test_an_ipv4_address_and_its_mapped_form_are_one() -> None:
    ids = ConnectionIds(SECRET)
    assert ids.issue(FOUR, NOW) == ids.issue(bytes(10) + b"\xff\xff" + FOUR, NOW)


def test_a_long_secret_counts_to_its_last_byte() -> None:
    assert ConnectionIds(b"x" * 100 + b"y").issue(FOUR, NOW) != ConnectionIds(b"x" * 100 + b"z").issue(FOUR, NOW)


@given(st.binary(min_size=8, max_size=8), st.sampled_from([FOUR, SIX]))
def test_made_up_ids_prove_nothing(made_up: bytes, address: bytes) -> None:
    ids = ConnectionIds(SECRET)
    assert ids.check(made_up, address, NOW) is Proof.NONE


def test_guesses_of_the_present_second_prove_nothing() -> None:
    ids, rng = ConnectionIds(SECRET), Random(15)
    stamp = NOW.to_bytes(4, "big")
    right = ids.issue(FOUR, NOW)[4:]
    guesses = (guess for guess in (rng.randbytes(4) for _ in range(50_000)) if guess != right)
    assert not any(ids.check(stamp + guess, FOUR, NOW) for guess in guesses)


@given(st.integers(0, 63))
def test_a_changed_bit_proves_nothing(bit: int) -> None:
    ids = ConnectionIds(SECRET)
    changed = int.from_bytes(ids.issue(FOUR, NOW), "big") ^ 1 << bit
    assert ids.check(changed.to_bytes(8, "big"), FOUR, NOW) is Proof.NONE


def test_no_more_than_a_few_keys_are_kept() -> None:
    ids = ConnectionIds(SECRET)
    for day in range(1000):
        ids.issue(FOUR, day * EPOCH_S)
    assert len(ids._keyed) <= 3
