"""What a batch adds to the totals and the history of users, torrents and the whole site.

Sums are held at what the store can count: a liar must not stop everybody's numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from domain.base import MAX_COUNT
from domain.tally import Tally, UserDelta
from projections.peers import binary
from runtime.db import Writer
from runtime.rollup import Grain, Period, Rollup

#: Users' past.
USER_HISTORY = Rollup(
    "user_history",
    held=("uploaded", "downloaded", "seed_time_s"),
    moving=("seeding", "leeching", "seed_size", "snatched", "torrents"),
)

#: Temporary tables, into which changes are copied: from there one statement applies them.
CHANGES = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS changed_user (user_id uuid, uploaded bigint, downloaded bigint,"
    " raw_uploaded bigint, raw_downloaded bigint, seed_time_s bigint, seeding bigint, leeching bigint,"
    " seed_size bigint, snatched bigint, torrents bigint) ON COMMIT DELETE ROWS",
    "CREATE TEMPORARY TABLE IF NOT EXISTS changed_torrent (torrent_id uuid, uploaded bigint, downloaded bigint,"
    " seeders bigint, leechers bigint, completed bigint) ON COMMIT DELETE ROWS",
    "CREATE TEMPORARY TABLE IF NOT EXISTS changed_period (user_id uuid, at timestamptz, uploaded bigint,"
    " downloaded bigint, seed_time_s bigint, seeding bigint, leeching bigint, seed_size bigint, snatched bigint,"
    " torrents bigint) ON COMMIT DELETE ROWS",
    "CREATE TEMPORARY TABLE IF NOT EXISTS changed_hour (torrent_id uuid, hour timestamptz, seeders bigint,"
    " leechers bigint, completed bigint, uploaded bigint, downloaded bigint) ON COMMIT DELETE ROWS",
)


def write(db: Writer, tally: Tally) -> None:
    """Torrents' hours come before their totals: what they say of the swarm is counted from what it was before."""
    _apply(db, "changed_user", [binary.user(user_id, user) for user_id, user in tally.users.items()], _USERS)
    _write_users_past(db, tally)
    _write_hours(db, tally)
    torrents = [binary.torrent(torrent_id, torrent) for torrent_id, torrent in tally.torrents.items()]
    _apply(db, "changed_torrent", torrents, _TORRENTS)
    _write_site(db, tally)


def _apply(db: Writer, table: LiteralString, rows: list[bytes], statement: LiteralString) -> None:
    if rows:
        rows.sort()  # by their key: its index is walked from left to right
        db.copy(f"COPY {table} FROM STDIN (FORMAT binary)", rows)
        db.execute(statement)
        db.execute(f"DELETE FROM {table}")  # a transaction may hold several batches


def _write_users_past(db: Writer, tally: Tally) -> None:
    if not tally.user_hours:
        return
    horizon = USER_HISTORY.horizon(db)
    periods: defaultdict[Period, defaultdict[bytes, UserDelta]] = defaultdict(lambda: defaultdict(UserDelta))
    for hour_us, users in tally.user_hours.items():
        period = horizon.period(_moment(hour_us))
        if period.grain is Grain.HOUR:
            periods[period] = users
        else:  # several hours may have come late for one day or month
            for user_id, user in users.items():
                periods[period][user_id].add(user)
    for grain in Grain:
        rows = [
            binary.user_period(user_id, _microseconds(period.at), user)
            for period, users in periods.items()
            if period.grain is grain
            for user_id, user in users.items()
        ]
        _apply(db, "changed_period", rows, _USERS_PAST[grain])


def _moment(at_us: int) -> datetime:
    return _UNIX_EPOCH + timedelta(microseconds=at_us)


def _microseconds(moment: datetime) -> int:
    return (moment - _UNIX_EPOCH) // timedelta(microseconds=1)


def _write_hours(db: Writer, tally: Tally) -> None:
    """An hour of which the site has no row has none of any torrent: nobody has to look for them."""
    known = _known_hours(db, tally)
    rows = [
        binary.hour(torrent_id, at_us, tally.hours[at_us][torrent_id])
        for at_us in known
        for torrent_id in tally.hours[at_us]
    ]
    _apply(db, "changed_hour", rows, _HOURS)
    first = {at_us: torrents for at_us, torrents in tally.hours.items() if at_us not in known}
    swarms = _swarms(db, set().union(*first.values()))
    new = [
        binary.first_of_hour(torrent_id, at_us, hour, *swarms.get(torrent_id, (0, 0)))
        for at_us, torrents in first.items()
        for torrent_id, hour in torrents.items()
    ]
    if new:
        new.sort()
        db.copy(
            "COPY torrent_history (torrent_id, hour, seeders, leechers, completed, uploaded, downloaded) FROM STDIN"
            " (FORMAT binary)",
            new,
        )


def _known_hours(db: Writer, tally: Tally) -> set[int]:
    """Those of the tally's hours that the site has a row of."""
    rows = db.rows("SELECT hour FROM site_history WHERE hour = ANY(%s)", (list(map(_moment, tally.hours)),))
    return {_microseconds(hour) for (hour,) in rows}


def _swarms(db: Writer, torrents: Collection[bytes]) -> dict[bytes, tuple[int, int]]:
    """Seeders and leechers before these announces."""
    if not torrents:
        return {}
    rows = db.rows(
        "SELECT uuid_send(torrent_id), seeders, leechers FROM torrent_stats WHERE torrent_id = ANY(%s::uuid[])",
        (binary.hexes(torrents),),
    )
    return {torrent_id: (seeders, leechers) for torrent_id, seeders, leechers in rows}


_USERS: LiteralString = (
    "INSERT INTO user_stats AS u (user_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seed_time_s,"
    " seeding, leeching, seed_size, snatched, torrents) SELECT * FROM changed_user ON CONFLICT (user_id) DO UPDATE SET"
    " uploaded = least(u.uploaded, 9223372036854775807 - excluded.uploaded) + excluded.uploaded,"
    " downloaded = least(u.downloaded, 9223372036854775807 - excluded.downloaded) + excluded.downloaded,"
    " raw_uploaded = least(u.raw_uploaded, 9223372036854775807 - excluded.raw_uploaded) + excluded.raw_uploaded,"
    " raw_downloaded ="
    " least(u.raw_downloaded, 9223372036854775807 - excluded.raw_downloaded) + excluded.raw_downloaded,"
    " seed_time_s = u.seed_time_s + excluded.seed_time_s, seeding = u.seeding + excluded.seeding,"
    " leeching = u.leeching + excluded.leeching, seed_size = u.seed_size + excluded.seed_size,"
    " snatched = u.snatched + excluded.snatched, torrents = u.torrents + excluded.torrents"
)
_USERS_PAST: dict[Grain, LiteralString] = {
    grain: f"{USER_HISTORY.add} SELECT user_id, '{grain}', at, uploaded, downloaded, seed_time_s, seeding, leeching,"
    f" seed_size, snatched, torrents FROM changed_period {USER_HISTORY.merged}"
    for grain in Grain
}
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Most hours of idle swarms change nothing: those rows are not touched.
_HOURS: LiteralString = (
    "MERGE INTO torrent_history h USING (SELECT c.torrent_id, c.hour,"
    "  c.seeders + coalesce(t.seeders, 0) AS seeders, c.leechers + coalesce(t.leechers, 0) AS leechers,"
    "  c.completed, c.uploaded, c.downloaded"
    "  FROM changed_hour c LEFT JOIN torrent_stats t USING (torrent_id)) c"
    " ON h.torrent_id = c.torrent_id AND h.hour = c.hour"
    " WHEN MATCHED AND c.uploaded = 0 AND c.downloaded = 0 AND c.completed = 0"
    "  AND c.seeders <= h.seeders AND c.leechers <= h.leechers THEN DO NOTHING"
    " WHEN MATCHED THEN UPDATE SET"
    "  seeders = greatest(h.seeders, c.seeders), leechers = greatest(h.leechers, c.leechers),"
    "  completed = h.completed + c.completed,"
    "  uploaded = least(h.uploaded, 9223372036854775807 - c.uploaded) + c.uploaded,"
    "  downloaded = least(h.downloaded, 9223372036854775807 - c.downloaded) + c.downloaded"
    " WHEN NOT MATCHED THEN INSERT (torrent_id, hour, seeders, leechers, completed, uploaded, downloaded)"
    "  VALUES (c.torrent_id, c.hour, c.seeders, c.leechers, c.completed, c.uploaded, c.downloaded)"
)
#: A torrent has a row from its first client on, also when that one was gone before the batch was over; what changed
#: nothing is not touched.
_TORRENTS: LiteralString = (
    "MERGE INTO torrent_stats t USING changed_torrent c ON t.torrent_id = c.torrent_id"
    " WHEN MATCHED AND c.uploaded = 0 AND c.downloaded = 0 AND c.seeders = 0 AND c.leechers = 0 AND c.completed = 0"
    "  THEN DO NOTHING"
    " WHEN MATCHED THEN UPDATE SET"
    "  uploaded = least(t.uploaded, 9223372036854775807 - c.uploaded) + c.uploaded,"
    "  downloaded = least(t.downloaded, 9223372036854775807 - c.downloaded) + c.downloaded,"
    "  seeders = t.seeders + c.seeders, leechers = t.leechers + c.leechers,"
    "  times_completed = t.times_completed + c.completed"
    " WHEN NOT MATCHED THEN INSERT (torrent_id, uploaded, downloaded, seeders, leechers, times_completed)"
    "  VALUES (c.torrent_id, c.uploaded, c.downloaded, c.seeders, c.leechers, c.completed)"
)


def _write_site(db: Writer, tally: Tally) -> None:
    rows = [
        (
            *(_moment(hour_us), hour.seeders, hour.leechers, hour.completed),
            *(min(hour.uploaded, MAX_COUNT), min(hour.downloaded, MAX_COUNT), hour.announces),
        )
        for hour_us, hour in tally.site.items()
    ]
    if rows:
        db.execute(
            "INSERT INTO site_history AS h (hour, seeders, leechers, completed, uploaded, downloaded, announces)"
            " SELECT c.hour, s.seeders + c.seeders, s.leechers + c.leechers, c.completed, c.uploaded, c.downloaded,"
            " c.announces FROM unnest(%s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
            "  %s::bigint[], %s::bigint[])"
            "  AS c (hour, seeders, leechers, completed, uploaded, downloaded, announces),"
            " (SELECT coalesce(sum(seeders), 0)::bigint AS seeders, coalesce(sum(leechers), 0)::bigint AS leechers"
            "  FROM site_swarm) s ON CONFLICT (hour) DO UPDATE SET"
            " seeders = greatest(h.seeders, excluded.seeders), leechers = greatest(h.leechers, excluded.leechers),"
            " completed = h.completed + excluded.completed, announces = h.announces + excluded.announces,"
            " uploaded = least(h.uploaded, 9223372036854775807 - excluded.uploaded) + excluded.uploaded,"
            " downloaded = least(h.downloaded, 9223372036854775807 - excluded.downloaded) + excluded.downloaded",
            [list(column) for column in zip(*rows, strict=True)],
        )
    _change_swarm(db, tally.swarm.seeders, tally.swarm.leechers)


def shrink_swarm(db: Writer, seeders: int, leechers: int) -> None:
    """So many clients fewer in all swarms together."""
    if seeders or leechers:
        _change_swarm(db, -seeders, -leechers)


def _change_swarm(db: Writer, seeders: int, leechers: int) -> None:
    db.execute(
        "INSERT INTO site_swarm AS s (one, seeders, leechers) VALUES (true, %s, %s) ON CONFLICT (one) DO UPDATE SET"
        " seeders = s.seeders + excluded.seeders, leechers = s.leechers + excluded.leechers",
        (seeders, leechers),
    )
