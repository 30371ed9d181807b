"""Rounds over everybody whom a rule may concern by now: its record is made once, however many workers go round."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from commands.achievements import settle_achievements
from commands.inactivity import judge_absence
from commands.ladder import promote_or_demote
from commands.users import hold_to_ratio
from domain.achievement_rules import CATALOGUE, AchievementCatalogue
from domain.announce_rules import ANNOUNCE_RULES, NO_RATIO_RULE, AnnounceRules
from domain.base import SYSTEM
from domain.inactivity import Patience
from queries.achievements import achievers
from queries.inactivity import unused_accounts
from queries.ladder import climbers
from queries.ratio_watch import ratio_watched
from runtime.platform import Platform
from runtime.store import AlreadyDone, VersionConflict, unbound_metadata

WATCHED_AT_ONCE = 500
SETTLED_AT_ONCE = 500
UNUSED_AT_ONCE = 500

# Namespaces of the commands: one per user and version of the account, however many workers look.
#: By the ratio rule.
RATIO_WATCH = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b04")
#: Promotions and demotions.
LADDER = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b71")


def watch_ratios(platform: Platform, now: datetime) -> None:
    """Let everybody below the ratio rule only seed, and download again who satisfies it once more."""
    rules = platform.store(SYSTEM).find(AnnounceRules, ANNOUNCE_RULES)
    rule = NO_RATIO_RULE if rules is None else rules.ratio
    after: UUID | None = None
    while True:
        with platform.pool.connection() as connection:
            watched = ratio_watched(connection, rule, now, WATCHED_AT_ONCE, after)
        for user_id, version, uploaded, downloaded in watched:
            metadata = unbound_metadata(SYSTEM, "policy", uuid5(RATIO_WATCH, f"{user_id}:{version}"))
            with suppress(AlreadyDone, VersionConflict):  # another worker was faster
                hold_to_ratio(platform.store(SYSTEM, metadata=metadata), user_id, uploaded, downloaded, now)
        if len(watched) < WATCHED_AT_ONCE:
            return
        after = watched[-1].user_id


def move_on_ladder(platform: Platform, now: datetime) -> None:
    """Promote everybody who meets the criteria of the next class, and demote who has less than its own keeps."""
    after: UUID | None = None
    while True:
        with platform.pool.connection() as connection:
            found = climbers(connection, now, WATCHED_AT_ONCE, after)
        for one in found:
            metadata = unbound_metadata(SYSTEM, "policy", uuid5(LADDER, f"{one.user_id}:{one.version}"))
            with suppress(AlreadyDone, VersionConflict):  # another worker was faster
                store = platform.store(SYSTEM, metadata=metadata)
                promote_or_demote(store, one.user_id, one.to, one.standing, now)
        if len(found) < WATCHED_AT_ONCE:
            return
        after = found[-1].user_id


def give_up_unused(platform: Platform, now: datetime) -> None:
    """Warn the owners of accounts that nobody uses, and disable those whose warning is over."""
    wanted = platform.settings.inactivity
    if not wanted.after_days:
        return
    usual, parked = (
        Patience(timedelta(days=days), timedelta(days=wanted.warn_days))
        for days in (wanted.after_days, wanted.parked_after_days)
    )
    after: UUID | None = None
    while True:
        before = now - usual.unused + usual.warning
        with platform.pool.connection() as connection:
            unused = unused_accounts(connection, before, wanted.exempt_level, UNUSED_AT_ONCE, after)
        for account in unused:
            patience = parked if account.parked else usual
            store = platform.store(SYSTEM, "policy")
            with suppress(VersionConflict):  # another worker was faster
                judge_absence(store, platform.settings, account.user_id, account.last_seen, patience, now)
        if len(unused) < UNUSED_AT_ONCE:
            return
        after = unused[-1].user_id


def settle_changed_criteria(platform: Platform, settled: dict[str, int], now: datetime | None = None) -> None:
    """Judge everybody by the achievements' criteria of now, once for each change of them; `settled` remembers which.

    Also once after each start: nobody knows what was changed while no worker ran.
    """
    catalogue = platform.store(SYSTEM).find(AchievementCatalogue, CATALOGUE)
    if catalogue is None or settled.get("version") == catalogue.version:
        return
    after: UUID | None = None
    while True:
        with platform.pool.connection() as connection:
            users = achievers(connection, SETTLED_AT_ONCE, after)
        for user_id in users:
            with suppress(VersionConflict):  # a deed that is counted meanwhile settles too
                settle_achievements(platform.store(SYSTEM, "policy"), user_id)
        if len(users) < SETTLED_AT_ONCE:
            break
        after = users[-1]
    settled["version"] = catalogue.version
