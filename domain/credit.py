"""What an announce earns: cumulative counters of one client session in, one credit fact out.

A session is (user, torrent, peer_id). Counters are absolute, so a lost announce is made good by the next one, and a
repeated one earns nothing. The high-water marks are the counters up to which the session is settled.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.announces import Announce, Event
from domain.base import MAX_COUNT
from domain.factors import MAX_UPLOAD_PERCENT, Factors

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
    if session is None:
        if announce.event in (Event.STOPPED, Event.EXPIRED):
            return None, _nothing(announce.uploaded, announce.downloaded, factors, None)
        return _begun(announce, factors)
    marks = session.high_uploaded, session.high_downloaded
    # An edge that could not ship for hours is overtaken by another one's record that its peers fell silent: its
    # announces are older than that record, but their counters are the newest, and earn.
    newest_us = session.received_at_us if announce.event == Event.EXPIRED else session.counted_at_us
    if announce.received_at_us < newest_us:
        return session, _nothing(*marks, factors, OUT_OF_ORDER)
    if announce.event == Event.EXPIRED:
        expired = session._replace(active=False, received_at_us=announce.received_at_us)
        return expired, _nothing(*marks, factors, None)
    fell = announce.uploaded < session.uploaded or announce.downloaded < session.downloaded
    if fell and announce.event == Event.STARTED:
        return _moved(session, announce, rebase=True), _with_time(session, announce, factors, 0, 0, None)
    if fell:
        # The marks stay: a client that lies about one counter must not escape the settlement of the other.
        return _moved(session, announce, rebase=False), _with_time(session, announce, factors, 0, 0, COUNTER_FELL)
    up = max(0, announce.uploaded - session.high_uploaded)
    down = max(0, announce.downloaded - session.high_downloaded)
    if max(up, down) > _believable(session, announce, ceiling_bytes_s):
        moved = _raised(session, announce)
        return moved, _with_time(session, announce, factors, 0, 0, IMPLAUSIBLE_RATE)
    return _raised(session, announce), _with_time(session, announce, factors, up, down, None)


def _begun(announce: Announce, factors: Factors) -> tuple[Session, Credit]:
    """The first announce is the baseline, whatever it says."""
    session = Session(
        uploaded=announce.uploaded,
        downloaded=announce.downloaded,
        high_uploaded=announce.uploaded,
        high_downloaded=announce.downloaded,
        left=announce.left,
        active=True,
        received_at_us=announce.received_at_us,
        counted_at_us=announce.received_at_us,
    )
    completed = announce.event == Event.COMPLETED
    anomaly = None
    if completed:
        anomaly = COMPLETED_UNSTARTED if announce.left == 0 else COMPLETED_WITH_BYTES_LEFT
    snatched = completed and announce.left == 0
    return session, _nothing(announce.uploaded, announce.downloaded, factors, anomaly)._replace(snatched=snatched)


def _moved(session: Session, announce: Announce, *, rebase: bool) -> Session:
    """The session with the announce's counters; `rebase` makes them the new baseline.

    Whether the client is there is what the newest record says, which need not be this one.
    """
    overtaken = announce.received_at_us < session.received_at_us
    return Session(
        uploaded=announce.uploaded,
        downloaded=announce.downloaded,
        high_uploaded=announce.uploaded if rebase else session.high_uploaded,
        high_downloaded=announce.downloaded if rebase else session.high_downloaded,
        left=announce.left,
        active=session.active if overtaken else announce.event != Event.STOPPED,
        received_at_us=max(session.received_at_us, announce.received_at_us),
        counted_at_us=announce.received_at_us,
    )


def _raised(session: Session, announce: Announce) -> Session:
    """The session with the announce's counters settled, earned or not."""
    return _moved(session, announce, rebase=False)._replace(
        high_uploaded=max(session.high_uploaded, announce.uploaded),
        high_downloaded=max(session.high_downloaded, announce.downloaded),
    )


def _believable(session: Session, announce: Announce, ceiling_bytes_s: int) -> int:
    elapsed_us = announce.received_at_us - session.counted_at_us + TIMING_SLACK_S * _US
    return ceiling_bytes_s * elapsed_us // _US


def _with_time(
    session: Session, announce: Announce, factors: Factors, up: int, down: int, anomaly: str | None
) -> Credit:
    """The credit of a known session for `up` and `down` raw bytes."""
    if anomaly is None and announce.event == Event.COMPLETED and announce.left > 0:
        anomaly = COMPLETED_WITH_BYTES_LEFT
    finished = announce.left == 0 and (announce.event == Event.COMPLETED or session.left > 0)
    return Credit(
        baseline_uploaded=session.high_uploaded,
        baseline_downloaded=session.high_downloaded,
        raw_uploaded=up,
        raw_downloaded=down,
        upload_percent=min(factors.upload_percent, MAX_UPLOAD_PERCENT),
        download_percent=factors.download_percent,
        uploaded=_share(up, min(factors.upload_percent, MAX_UPLOAD_PERCENT)),
        downloaded=_share(down, factors.download_percent),
        seed_time_s=_seed_time_s(session, announce),
        snatched=finished,
        anomaly=anomaly,
    )


def _nothing(uploaded: int, downloaded: int, factors: Factors, anomaly: str | None) -> Credit:
    """The credit of nothing, over the baseline of those counters."""
    upload = min(factors.upload_percent, MAX_UPLOAD_PERCENT)
    return Credit(uploaded, downloaded, 0, 0, upload, factors.download_percent, 0, 0, 0, False, anomaly)


def _share(raw: int, percent: int) -> int:
    """Whole bytes, rounded down, held within what the store can count."""
    return min(raw * percent // 100, MAX_COUNT)


def _seed_time_s(session: Session, announce: Announce) -> int:
    overtaken = announce.received_at_us < session.received_at_us  # the client was there, whatever was said later
    if not ((session.active or overtaken) and session.seeder and announce.left == 0):
        return 0
    elapsed_us = announce.received_at_us - session.counted_at_us
    return elapsed_us // _US if elapsed_us <= SEED_GAP_S * _US else 0
