"""When uploads and downloads count otherwise than in full: windows of time that events open and end.

`source_id` is the stream whose events open and end a window; that of a group's perk, which follows members from group
to group, is zero. Zero for torrent or user means all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import LiteralString
from uuid import UUID

from domain.announces import Announce
from domain.factors import EVERYBODY, FREE, Factors, Promotions, Window, user_on_torrent
from domain.freeleech_tokens import FreeleechTokens
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.rights import Rights
from domain.site_promotions import SitePromotion
from domain.torrents import Torrent
from domain.users import User
from projections.peers.binary import hexes
from projections.peers.projection import peers
from runtime.db import Writer
from runtime.facts import AnyFact, Fact

#: Every torrent, or every user.
ALL = UUID(int=0)
#: What a user's own rights say of its perks, and where that is kept.
_EXCEPTIONS: dict[str, LiteralString] = {
    Permission.DOUBLE_UPLOAD: "double_upload",
    Permission.FREELEECH: "freeleech",
}
#: What counts how much for the user, or for each member of the group, whose id comes three times: by the best of the
#: user's groups, unless its own rights say otherwise (as `domain.rights.effective` has it).
_PERKS: LiteralString = """
SELECT m.user_id,
  CASE WHEN coalesce(m.double_upload, max(g.upload_percent) = 200) THEN 200 ELSE 100 END AS upload_percent,
  CASE WHEN coalesce(m.freeleech, min(g.download_percent) = 0) THEN 0 ELSE 100 END AS download_percent
FROM credit_member m LEFT JOIN credit_membership x USING (user_id)
LEFT JOIN credit_group g ON g.group_id IN (m.group_id, x.group_id)
WHERE m.user_id = %s OR m.group_id = %s OR m.user_id IN (SELECT user_id FROM credit_membership WHERE group_id = %s)
GROUP BY m.user_id, m.double_upload, m.freeleech
"""


@peers.on(Torrent.FreeleechGranted)
def freeleech_granted(fact: Fact[Torrent.FreeleechGranted], db: Writer) -> None:
    _replace_window(db, fact, FREE, fact.event.until, torrent_id=fact.stream_id)


@peers.on(Torrent.Promoted)
def promoted(fact: Fact[Torrent.Promoted], db: Writer) -> None:
    promised = Factors(fact.event.upload_percent, fact.event.download_percent)
    _replace_window(db, fact, promised, fact.event.until, torrent_id=fact.stream_id)


@peers.on(SitePromotion.Started)
def site_promotion_started(fact: Fact[SitePromotion.Started], db: Writer) -> None:
    promised = Factors(fact.event.upload_percent, fact.event.download_percent)
    _open_window(db, fact, promised, fact.event.until)


@peers.on(User.PersonalFreeleechGranted)
def personal_freeleech_granted(fact: Fact[User.PersonalFreeleechGranted], db: Writer) -> None:
    _replace_window(db, fact, FREE, fact.event.until, user_id=fact.stream_id)


@peers.on(FreeleechTokens.Spent)
def token_spent(fact: Fact[FreeleechTokens.Spent], db: Writer) -> None:
    event = fact.event
    _open_window(db, fact, FREE, event.until, torrent_id=event.torrent_id, user_id=event.user_id)


@peers.on(Torrent.FreeleechEnded, Torrent.PromotionEnded, SitePromotion.Ended, User.PersonalFreeleechEnded)
def ended(fact: AnyFact, db: Writer) -> None:
    _end_windows(db, fact)


@peers.on(Group.Founded)
def group_founded(fact: Fact[Group.Founded], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_group (group_id, upload_percent, download_percent) VALUES (%s, %s, %s)",
        (fact.stream_id, *_perk(fact.event.permissions)),
    )


@peers.on(Group.PermissionsChanged)
def permissions_changed(fact: Fact[Group.PermissionsChanged], db: Writer) -> None:
    db.update(
        "UPDATE credit_group SET upload_percent = %s, download_percent = %s WHERE group_id = %s",
        (*_perk(fact.event.permissions), fact.stream_id),
    )
    _follow_perk(db, fact, fact.stream_id)


@peers.on(User.Registered)
def user_registered(fact: Fact[User.Registered], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_member (user_id, group_id) VALUES (%s, %s)", (fact.stream_id, group_id(fact.event.group))
    )
    _follow_perk(db, fact, fact.stream_id)


@peers.on(User.GroupChanged)
def group_changed(fact: Fact[User.GroupChanged], db: Writer) -> None:
    db.update("UPDATE credit_member SET group_id = %s WHERE user_id = %s", (group_id(fact.event.group), fact.stream_id))
    _follow_perk(db, fact, fact.stream_id)


@peers.on(Rights.PermissionGranted)
def permission_granted(fact: Fact[Rights.PermissionGranted], db: Writer) -> None:
    _except(db, fact, True)


@peers.on(Rights.PermissionDenied)
def permission_denied(fact: Fact[Rights.PermissionDenied], db: Writer) -> None:
    _except(db, fact, False)


@peers.on(Rights.ExceptionWithdrawn, Rights.ExceptionExpired)
def exception_ended(fact: AnyFact, db: Writer) -> None:
    _except(db, fact, None)


@peers.on(Rights.SecondaryGroupGiven)
def secondary_group_given(fact: Fact[Rights.SecondaryGroupGiven], db: Writer) -> None:
    db.execute(
        "INSERT INTO credit_membership (user_id, group_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (fact.event.user_id, group_id(fact.event.group)),
    )
    _follow_perk(db, fact, fact.event.user_id)


@peers.on(Rights.SecondaryGroupTaken, Rights.SecondaryGroupExpired)
def secondary_group_ended(fact: AnyFact, db: Writer) -> None:
    db.update(
        "DELETE FROM credit_membership WHERE user_id = %s AND group_id = %s",
        (fact.event.user_id, group_id(fact.event.group)),
    )
    _follow_perk(db, fact, fact.event.user_id)


def promotions(db: Writer, announces: Sequence[Announce]) -> Promotions:
    """The promotions that may hold for any of these announces, of which there is at least one."""
    torrents = {ALL.bytes, *map(attrgetter("torrent_id"), announces)}
    users = set(map(attrgetter("user_id"), announces))
    return Promotions(_windows(db, torrents, users, min(map(attrgetter("received_at_us"), announces))))


def _windows(db: Writer, torrents: set[bytes], users: set[bytes], since_us: int) -> dict[bytes, list[Window]]:
    """Windows for everybody on these torrents and for these users on any, which end after `since_us`."""
    rows = db.rows(
        "SELECT uuid_send(torrent_id), uuid_send(user_id), (extract(epoch FROM starts_at) * 1000000)::bigint,"
        " (extract(epoch FROM nullif(ends_at, 'infinity')) * 1000000)::bigint, upload_percent, download_percent FROM ("
        # all users as a constant, so that every plan knows how many such windows there are
        "  SELECT * FROM promotion_window WHERE user_id = '00000000-0000-0000-0000-000000000000'"
        "  AND torrent_id = ANY(%s::uuid[])"
        "  UNION ALL SELECT * FROM promotion_window WHERE user_id = ANY(%s::uuid[])) AS w"
        " WHERE ends_at > timestamptz 'epoch' + %s * interval '1 microsecond'",
        (hexes(torrents), hexes(users), since_us),
    )
    found: defaultdict[bytes, list[Window]] = defaultdict(list)
    for torrent_id, user_id, start, end, upload, download in rows:
        found[_subject(torrent_id, user_id)].append(Window(start, end, _factors(upload, download)))
    return found


#: Windows by the thousand promise a handful of things.
_factors = cache(Factors)


def _subject(torrent_id: bytes, user_id: bytes) -> bytes:
    """Whom a window is for, as `Promotions` knows it."""
    if torrent_id == ALL.bytes:
        return EVERYBODY if user_id == ALL.bytes else user_id
    return torrent_id if user_id == ALL.bytes else user_on_torrent(torrent_id, user_id)


def _replace_window(
    db: Writer, fact: AnyFact, promised: Factors, until: datetime | None, torrent_id: UUID = ALL, user_id: UUID = ALL
) -> None:
    """Open a window in the place of the one before: of such grants the newest alone says until when."""
    _end_windows(db, fact)
    _open_window(db, fact, promised, until, torrent_id, user_id)


def _open_window(
    db: Writer, fact: AnyFact, promised: Factors, until: datetime | None, torrent_id: UUID = ALL, user_id: UUID = ALL
) -> None:
    db.execute(
        "INSERT INTO promotion_window (user_id, torrent_id, position, source_id, starts_at, ends_at, upload_percent,"
        " download_percent) VALUES (%s, %s, %s, %s, %s, coalesce(%s, timestamptz 'infinity'), %s, %s)",
        (
            *(user_id, torrent_id, fact.position, fact.stream_id, fact.at, until),
            *(promised.upload_percent, promised.download_percent),
        ),
    )


def _end_windows(db: Writer, fact: AnyFact) -> None:
    db.execute(
        "UPDATE promotion_window SET ends_at = greatest(starts_at, %s) WHERE source_id = %s AND ends_at > %s",
        (fact.at, fact.stream_id, fact.at),
    )


def _perk(permissions: Sequence[str]) -> tuple[int, int]:
    """What a group's permissions count, in percent: uploads, downloads."""
    return 200 if Permission.DOUBLE_UPLOAD in permissions else 100, 0 if Permission.FREELEECH in permissions else 100


def _except(db: Writer, fact: AnyFact, granted: bool | None) -> None:
    """The groups decide again where `granted` is None."""
    if fact.event.permission not in _EXCEPTIONS:
        return
    exception = _EXCEPTIONS[fact.event.permission]
    db.update(f"UPDATE credit_member SET {exception} = %s WHERE user_id = %s", (granted, fact.event.user_id))
    _follow_perk(db, fact, fact.event.user_id)


def _follow_perk(db: Writer, fact: AnyFact, subject_id: UUID) -> None:
    """End and open the windows of the one user or of all members of the one group that `subject_id` is."""
    about = (subject_id,) * 3
    db.execute(
        "UPDATE promotion_window w SET ends_at = greatest(w.starts_at, %s)"
        f" FROM ({_PERKS}) p WHERE w.user_id = p.user_id AND w.source_id = %s AND w.ends_at = 'infinity'"
        " AND (w.upload_percent, w.download_percent) <> (p.upload_percent, p.download_percent)",
        (fact.at, *about, ALL),
    )
    db.execute(
        "INSERT INTO promotion_window (user_id, torrent_id, position, source_id, starts_at, ends_at, upload_percent,"
        " download_percent)"
        f" SELECT p.user_id, %s, %s, %s, %s, 'infinity', p.upload_percent, p.download_percent FROM ({_PERKS}) p"
        " WHERE (p.upload_percent, p.download_percent) <> (100, 100) AND NOT EXISTS (SELECT FROM promotion_window w"
        "  WHERE w.user_id = p.user_id AND w.source_id = %s AND w.ends_at = 'infinity')",
        (ALL, fact.position, ALL, fact.at, *about, ALL),
    )


#: What opens and ends windows: all that is handled here, without a look at what announces have added up to.
KINDS = tuple(kind for kind, handler in peers.handlers.items() if handler.__module__ == __name__)
