"""Requests to be let in again: one at a time, and not again for a week after a no."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.reenable_requests import (
    AGAIN_AFTER,
    NoOpenRequest,
    ReenableRequest,
    ReenableRequestOpen,
    ReenableTextMissing,
    RejectedLately,
)
from tests.given import NOON

ALICE = UUID(int=1)


def rejected() -> ReenableRequest:
    request = ReenableRequest.first(ALICE, "I am back")
    request.reject("not yet", now=NOON)
    return request


@pytest.mark.parametrize("text", ["", " \n", "x" * 2001])
def test_staff_want_to_read_why(text: str) -> None:
    with pytest.raises(ReenableTextMissing):
        ReenableRequest.first(ALICE, text)
    with pytest.raises(ReenableTextMissing):
        rejected().file_again(text, now=NOON + AGAIN_AFTER)


def test_there_is_one_request_at_a_time() -> None:
    with pytest.raises(ReenableRequestOpen):
        ReenableRequest.first(ALICE, "I am back").file_again("please", now=NOON)


def test_after_a_no_one_waits_a_week() -> None:
    request = rejected()
    with pytest.raises(RejectedLately):
        request.file_again("please", now=NOON + AGAIN_AFTER - timedelta(seconds=1))
    request.file_again("please", now=NOON + AGAIN_AFTER)
    assert request.open


def test_what_was_answered_is_not_answered_again() -> None:
    approved = ReenableRequest.first(ALICE, "I am back")
    approved.approve()
    for request in (approved, rejected()):
        with pytest.raises(NoOpenRequest):
            request.approve()
        with pytest.raises(NoOpenRequest):
            request.reject("no", now=NOON)
