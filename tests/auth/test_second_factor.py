"""Codes of authenticators: the window, the step, what a code looks like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from runtime.second_factor import STEP_S, matching_step, new_recovery_codes, new_seed, otpauth_uri

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238 appendix B: "12345678901234567890"
NOW = datetime.fromtimestamp(1111111109, UTC)
STEP = 1111111109 // STEP_S


def code(steps: int) -> str:
    return pyotp.HOTP(SEED).at(STEP + steps)


def test_the_code_is_that_of_the_rfc() -> None:
    assert matching_step(SEED, "081804", NOW) == STEP  # the last 6 of the RFC's 8 digits


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_neighbouring_steps_are_taken(steps: int) -> None:
    assert matching_step(SEED, code(steps), NOW) == STEP + steps


@pytest.mark.parametrize("steps", [-2, 2, -100])
def test_farther_steps_are_not(steps: int) -> None:
    assert matching_step(SEED, code(steps), NOW) is None


def test_a_step_that_was_used_is_over_and_so_are_earlier_ones() -> None:
    assert matching_step(SEED, code(0), NOW, after=STEP) is None
    assert matching_step(SEED, code(-1), NOW, after=STEP) is None
    assert matching_step(SEED, code(1), NOW, after=STEP) == STEP + 1


@pytest.mark.parametrize(
    "text", ["", "81804", "0081804", "08180a", "٠٨١٨٠٤", " 081804", "081804\n", "081 804", "000000"]
)
def test_anything_but_six_digits_is_wrong(text: str) -> None:
    assert matching_step(SEED, text, NOW) is None


def test_a_clock_that_moves_changes_the_code() -> None:
    assert matching_step(SEED, code(0), NOW + timedelta(seconds=3 * STEP_S)) is None


def test_seeds_have_160_bits_and_differ() -> None:
    assert len({new_seed() for _ in range(20)}) == 20
    assert len(new_seed()) * 5 == 160


def test_recovery_codes_are_ten_different_ones() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all([len(part) for part in text.split("-")] == [4, 4, 4, 4] for text in codes)


def test_the_uri_is_what_authenticators_read() -> None:
    assert otpauth_uri(SEED, "alice", "Tracker") == f"otpauth://totp/Tracker:alice?secret={SEED}&issuer=Tracker"
