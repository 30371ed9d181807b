"""What may happen to a torrent, and who may do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import DomainError
from domain.factors import FREE, FULL, NEUTRAL, BadPromotion, Factors, PromotionInPast
from domain.torrents import (
    BadDescription,
    BadTag,
    BadTitle,
    FreeleechInPast,
    NotYours,
    OwnUpload,
    ReasonMissing,
    Torrent,
    TorrentDeleted,
    TorrentState,
)
from tests.torrents.uploads import upload

UPLOADER, STAFF = UUID(int=7), UUID(int=8)
HOUR = timedelta(hours=1)


def kinds(torrent: Torrent) -> list[type[Any]]:
    """The events decided so far, but for the upload itself."""
    return [type(event) for event in torrent.collect_events()][1:]


def test_an_upload_waits_for_staff() -> None:
    torrent = upload()
    assert torrent.state is TorrentState.PENDING
    assert kinds(torrent) == []


def test_a_trusted_upload_is_approved_at_once() -> None:
    torrent = upload(trusted=True)
    assert torrent.state is TorrentState.APPROVED
    assert kinds(torrent) == [Torrent.Approved]


def test_tags_are_recorded_in_one_form_and_order() -> None:
    uploaded = upload(tags=[" Web-DL", "drama", "DRAMA", ""]).pending_events[0]
    assert isinstance(uploaded, Torrent.Uploaded)
    assert uploaded.tags == ["drama", "web-dl"]


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("name", "", BadTitle),
        ("name", " \u00a0", BadTitle),
        ("name", "a" * 256, BadTitle),
        ("name", "a\u202eb", BadTitle),
        ("name", "a\nb", BadTitle),
        ("description", "a" * 65_536, BadDescription),
        ("tags", ["a" * 41], BadTag),
        ("tags", ["sci fi"], BadTag),
        ("tags", ["-a"], BadTag),
        ("tags", [f"tag{n}" for n in range(21)], BadTag),
    ],
)
def test_an_upload_with_a_bad_text_is_refused(field: str, value: Any, refusal: type[DomainError]) -> None:
    with pytest.raises(refusal):
        upload(**{field: value})


def test_the_longest_title_is_taken() -> None:
    assert upload(name="ä" * 255).name == "ä" * 255


def test_somebody_else_approves_an_upload_once() -> None:
    torrent = upload()
    torrent.approve(STAFF)
    torrent.approve(STAFF)
    assert kinds(torrent) == [Torrent.Approved]


def test_nobody_approves_an_own_upload() -> None:
    with pytest.raises(OwnUpload):
        upload().approve(UPLOADER)


def test_a_rejected_upload_may_be_approved_later() -> None:
    torrent = upload()
    torrent.reject("wrong category")
    torrent.reject("wrong category")
    torrent.approve(STAFF)
    assert kinds(torrent) == [Torrent.Rejected, Torrent.Approved]
    assert torrent.state is TorrentState.APPROVED


@pytest.mark.parametrize("reason", ["", "  \n", "a" * 1001])
def test_a_decision_against_an_upload_has_a_reason(reason: str) -> None:
    torrent = upload()
    with pytest.raises(ReasonMissing):
        torrent.reject(reason)
    with pytest.raises(ReasonMissing):
        torrent.delete(reason, by=STAFF, staff=True, now=torrent.created_on)


def test_uploaders_take_back_their_upload_within_a_day() -> None:
    torrent = upload()
    torrent.delete("a mistake", by=UPLOADER, staff=False, now=torrent.created_on + 24 * HOUR)
    assert torrent.state is TorrentState.DELETED


def test_after_a_day_only_staff_delete() -> None:
    torrent = upload()
    late = torrent.created_on + 25 * HOUR
    with pytest.raises(NotYours):
        torrent.delete("a mistake", by=UPLOADER, staff=False, now=late)
    torrent.delete("a mistake", by=STAFF, staff=True, now=late)
    assert kinds(torrent) == [Torrent.Deleted]


def test_others_never_delete() -> None:
    torrent = upload()
    with pytest.raises(NotYours):
        torrent.delete("no", by=STAFF, staff=False, now=torrent.created_on)


def test_nothing_happens_to_a_deleted_torrent() -> None:
    torrent = upload()
    now = torrent.created_on
    torrent.delete("gone", by=STAFF, staff=True, now=now)
    decisions: list[Callable[[], None]] = [
        lambda: torrent.approve(STAFF),
        lambda: torrent.reject("no"),
        lambda: torrent.delete("again", by=STAFF, staff=True, now=now),
        lambda: torrent.grant_freeleech(now + HOUR, now=now),
        lambda: torrent.promote(NEUTRAL, None, now=now),
    ]
    for decide in decisions:
        with pytest.raises(TorrentDeleted):
            decide()
    assert kinds(torrent) == [Torrent.Deleted]


def test_freeleech_in_the_past_is_refused() -> None:
    torrent = upload()
    with pytest.raises(FreeleechInPast):
        torrent.grant_freeleech(torrent.created_on, now=torrent.created_on)


def test_the_same_freeleech_twice_is_recorded_once() -> None:
    torrent = upload()
    now = torrent.created_on
    torrent.grant_freeleech(now + HOUR, now=now)
    torrent.grant_freeleech(now + HOUR, now=now)
    assert kinds(torrent) == [Torrent.FreeleechGranted]


def test_freeleech_that_is_over_is_not_ended() -> None:
    torrent = upload()
    now = torrent.created_on
    torrent.end_freeleech(now=now)
    torrent.grant_freeleech(now + HOUR, now=now)
    torrent.end_freeleech(now=now + HOUR)
    torrent.end_freeleech(now=now)
    torrent.end_freeleech(now=now)
    assert kinds(torrent) == [Torrent.FreeleechGranted, Torrent.FreeleechEnded]


def test_the_newest_promotion_alone_holds_and_until_its_end() -> None:
    torrent = upload()
    now = torrent.created_on
    assert torrent.factors(now) == FULL
    torrent.promote(Factors(200, 50), None, now=now)
    torrent.promote(Factors(200, 50), None, now=now)
    torrent.grant_freeleech(now + HOUR, now=now)
    assert (torrent.factors(now), torrent.factors(now + HOUR)) == (FREE, FULL)
    torrent.promote(NEUTRAL, now + HOUR, now=now)
    assert (torrent.factors(now), torrent.factors(now + HOUR)) == (NEUTRAL, FULL)
    assert kinds(torrent) == [Torrent.Promoted, Torrent.FreeleechGranted, Torrent.Promoted]


def test_a_promotion_that_is_over_is_not_ended() -> None:
    torrent = upload()
    now = torrent.created_on
    torrent.end_promotion(now=now)
    torrent.promote(Factors(200, 100), now + HOUR, now=now)
    torrent.end_freeleech(now=now)
    torrent.end_promotion(now=now + HOUR)
    torrent.end_promotion(now=now)
    torrent.end_promotion(now=now)
    assert kinds(torrent) == [Torrent.Promoted, Torrent.PromotionEnded]


def test_what_is_no_promotion_is_refused() -> None:
    torrent = upload()
    with pytest.raises(BadPromotion):
        torrent.promote(FULL, None, now=torrent.created_on)
    with pytest.raises(PromotionInPast):
        torrent.promote(FREE, torrent.created_on, now=torrent.created_on)
