"""What an announce earns: cumulative counters of one client session in, one credit fact out.

A session is (user, torrent, peer_id). Counters are absolute, so a lost announce is made good by the next one, and a
repeated one earns nothing. The high-water marks are the counters up to which the session is settled.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.announces import Announce, Event
from domain.base import MAX_COUNT
from domain.factors import FULL, MAX_UPLOAD_PERCENT, Factors

#: Two seeding announces further apart than this leave a gap that nobody vouches for: no seed time.
SEED_GAP_S = 5400
#: Clients wait up to 30 s for a reply and then repeat: a counter may be this much older or younger than it looks.
TIMING_SLACK_S = 30
COUNTER_FELL = "counter_fell"
IMPLAUSIBLE_RATE = "implausible_rate"
COMPLETED_WITH_BYTES_LEFT = "completed_with_bytes_left"
COMPLETED_UNSTARTED = "completed_unstarted"
OUT_OF_ORDER = "out_of_order"

_US = 1_000_000
_SLACK_US = TIMING_SLACK_S * _US
#: Plain numbers: a member of an enumeration costs a look-up, and this runs for every announce there is.
_COMPLETED, _STARTED, _STOPPED, _EXPIRED = map(int, (Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.EXPIRED))
_GONE = (_STOPPED, _EXPIRED)
#: Makes named tuples in a third of the time that their constructors need.
_new = tuple.__new__


class Session(NamedTuple):
    """Where a session stands; times are UTC microseconds, counters bytes."""

    uploaded: int  # as last announced
    downloaded: int
    high_uploaded: int  # settled up to here: only what is above earns
    high_downloaded: int
    left: int
    active: bool
    received_at_us: int  # of the newest record: what is older moves nothing
    counted_at_us: int  # of the newest counters

    @property
    def seeder(self) -> bool:
        return self.left == 0


class Credit(NamedTuple):
    """One fact: from which baseline, how much raw, by which factors, how much credited."""

    baseline_uploaded: int
    baseline_downloaded: int
    raw_uploaded: int
    raw_downloaded: int
    upload_percent: int
    download_percent: int
    uploaded: int  # credited bytes
    downloaded: int
    seed_time_s: int
    snatched: bool  # `left` reached 0; the first of a (user, torrent) is the snatch
    anomaly: str | None


def settle(
    session: Session | None, announce: Announce, factors: Factors, ceiling_bytes_s: int
) -> tuple[Session | None, Credit]:
    """The session after the announce, and what the announce earns.

    `session` is None when the client was never seen on this torrent, and stays None when such a client only leaves.
    More than `ceiling_bytes_s` over the time since the last counters is not believed: an anomaly, and nothing is
    credited.
    """
    at_us, _, _, _, event, up, down, left, _, _, _ = announce
    if session is None:
        if event in _GONE:
            return None, _nothing(up, down, factors, None)
        return _begun(announce), _first_credit(announce, factors)
    was_up, was_down, high_up, high_down, was_left, active, received_us, counted_us = session
    # An edge that could not ship for hours is overtaken by another one's record that its peers fell silent: its
    # announces are older than that record, but their counters are the newest, and earn.
    if at_us < (received_us if event == _EXPIRED else counted_us):
        return session, _nothing(high_up, high_down, factors, OUT_OF_ORDER)
    if event == _EXPIRED:
        # Who has left cannot fall silent: the stop is what is known.
        expired = session._replace(active=False, received_at_us=at_us) if active else session
        return expired, _nothing(high_up, high_down, factors, None)
    raw_up = raw_down = 0
    new_high_up, new_high_down, anomaly = high_up, high_down, None
    if up >= was_up and down >= was_down:
        if up > high_up:
            raw_up, new_high_up = up - high_up, up
        if down > high_down:
            raw_down, new_high_down = down - high_down, down
        believable = ceiling_bytes_s * (at_us - counted_us + _SLACK_US) // _US
        if raw_up > believable or raw_down > believable:
            raw_up, raw_down, anomaly = 0, 0, IMPLAUSIBLE_RATE
    elif event == _STARTED:
        new_high_up, new_high_down = up, down
    else:
        # The marks stay: a client that lies about one counter must not escape the settlement of the other.
        anomaly = COUNTER_FELL
    if anomaly is None and event == _COMPLETED and left > 0:
        anomaly = COMPLETED_WITH_BYTES_LEFT
    overtaken = at_us < received_us  # the client was there at the time, and where it is now the newest record says
    seed_time_s = _seed_time_s(at_us - counted_us) if left == was_left == 0 and (active or overtaken) else 0
    snatched = left == 0 and (event == _COMPLETED or was_left > 0)
    if factors is FULL:
        shares = 100, 100, raw_up, raw_down
    else:
        shares = _shares(raw_up, raw_down, factors)
    credit = _new(Credit, (high_up, high_down, raw_up, raw_down, *shares, seed_time_s, snatched, anomaly))
    if not overtaken or event == _STOPPED:
        active, received_us = event != _STOPPED, at_us
    return _new(Session, (up, down, new_high_up, new_high_down, left, active, received_us, at_us)), credit


def _begun(announce: Announce) -> Session:
    """The first announce is the baseline, whatever it says."""
    up, down, at_us = announce.uploaded, announce.downloaded, announce.received_at_us
    return Session(up, down, up, down, announce.left, True, at_us, at_us)


def _first_credit(announce: Announce, factors: Factors) -> Credit:
    completed = announce.event == Event.COMPLETED
    anomaly = None
    if completed:
        anomaly = COMPLETED_UNSTARTED if announce.left == 0 else COMPLETED_WITH_BYTES_LEFT
    credit = _nothing(announce.uploaded, announce.downloaded, factors, anomaly)
    return credit._replace(snatched=completed and announce.left == 0)


def _nothing(uploaded: int, downloaded: int, factors: Factors, anomaly: str | None) -> Credit:
    """The credit of nothing, over the baseline of those counters."""
    upload = min(factors.upload_percent, MAX_UPLOAD_PERCENT)
    return Credit(uploaded, downloaded, 0, 0, upload, factors.download_percent, 0, 0, 0, False, anomaly)


def _shares(raw_up: int, raw_down: int, factors: Factors) -> tuple[int, int, int, int]:
    """Percent and whole bytes, rounded down, held within what the store can count."""
    upload, download = min(factors.upload_percent, MAX_UPLOAD_PERCENT), factors.download_percent
    return upload, download, min(raw_up * upload // 100, MAX_COUNT), min(raw_down * download // 100, MAX_COUNT)


def _seed_time_s(elapsed_us: int) -> int:
    return elapsed_us // _US if elapsed_us <= SEED_GAP_S * _US else 0
