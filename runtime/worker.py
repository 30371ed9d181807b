"""The worker process: every projection and policy, what time brings about, and the search index behind them."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

import structlog

from commands.achievements import settle_achievements
from commands.bans import expire_ban
from commands.emails import settle_email_change
from commands.erasures import go_on_erasing
from commands.exports import finish_export
from commands.inactivity import judge_absence
from commands.invites import expire_invite
from commands.ladder import promote_or_demote
from commands.password_resets import answer_reset_requests
from commands.policies import POLICIES
from commands.rights import expire_rights
from commands.security_notices import tell_of_failures
from commands.users import hold_to_ratio
from domain.achievement_rules import CATALOGUE, AchievementCatalogue
from domain.announce_rules import ANNOUNCE_RULES, NO_RATIO_RULE, AnnounceRules
from domain.base import SYSTEM
from domain.inactivity import Patience
from projections import ALL
from projections.search import open_sender
from queries.achievements import achievers
from queries.bans import due_bans
from queries.emails import settling_changes
from queries.erasures import due_erasures, last_completed
from queries.exports import archive_of, due_exports
from queries.inactivity import unused_accounts
from queries.invites import due_invites
from queries.ladder import climbers
from queries.ratio_watch import ratio_watched
from queries.rights import due_rights
from runtime.api import open_platform
from runtime.archives import forget_archives
from runtime.audit.block import PURPOSE, signing_key
from runtime.audit.seal import seal
from runtime.keyring import KeyDestroyed
from runtime.mail_delivery import deliver
from runtime.platform import Platform
from runtime.rebuild.carriers import Carriers
from runtime.rebuild.forgotten import drop_standbys
from runtime.schedule import every
from runtime.settings import Settings
from runtime.store import AlreadyDone, VersionConflict, unbound_metadata
from runtime.supervisor import announce_ready
from runtime.telemetry import METRICS_DIRECTORY, configure_logging, serve_metrics
from runtime.worker_loop import run_worker

#: A batch of facts makes many objects that live until its commit: collecting among them finds nothing and costs a
#: third of the time (announces projected per second, 12,000 to 17,000).
GC_THRESHOLD = (100_000, 20, 50)
#: The API compares a ban's end with the present time; the edge and the read tables are told this often.
EXPIRE_BANS_S = 1.0
EXPIRED_AT_ONCE = 500
#: Namespace of the commands that record a ban's end: one per ban, however many workers look.
EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b03")
#: As with bans.
EXPIRE_RIGHTS_S = 1.0
#: Namespace of the commands that record the end of rights: one per user and what ended, however many workers look.
RIGHTS_EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b70")
#: Ratios change with every announce; who falls below the rule gets away with it for so long.
WATCH_RATIOS_S = 30.0
WATCHED_AT_ONCE = 500
#: Namespace of the commands by the ratio rule: one per user and version of the account, however many workers look.
RATIO_WATCH = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b04")
DELIVER_MAIL_S = 1.0
ANSWER_RESETS_S = 1.0
#: Nobody waits for the end of the week in which a change of an address can be undone.
SETTLE_EMAILS_S = 60.0
SETTLED_AT_ONCE = 500
EXPIRE_INVITES_S = 60.0
#: Namespace of the commands that record an invite's end: one per invite, however many workers look.
INVITE_EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b51")
#: Namespace of the commands that settle changes: one per change, however many workers look.
SETTLING = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b50")
#: An erasure takes some looks: what is found by the name, the key, and a second later that nobody uses it any more.
ERASE_S = 1.0
ERASED_AT_ONCE = 50
#: Namespace of the commands that complete erasures: one per person, however many workers look.
ERASURE = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b05")
#: Guesses are told of once a day.
TELL_OF_GUESSES_S = 60.0
#: Whoever asks for everything about oneself waits for so long, and for the archives before.
EXPORT_S = 2.0
EXPORTED_AT_ONCE = 5
#: Classes are for months; one class at a time.
MOVE_ON_LADDER_S = 600.0
#: Namespace of the promotions and demotions: one per user and version of the account, however many workers look.
LADDER = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b71")
#: How soon other criteria of achievements hold for what was done before.
SETTLE_CRITERIA_S = 30.0
#: Days count here: an hour is soon enough.
GIVE_UP_UNUSED_S = 3600.0
UNUSED_AT_ONCE = 500
#: Long streams are rare and grow slowly.
TAKE_SNAPSHOTS_S = 600.0
#: How soon a worker begins what somebody orders.
CARRY_OUT_S = 1.0
#: What nobody has sealed yet, nobody would see changed.
SEAL_S = 1.0

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Follow the log until SIGTERM or SIGINT."""
    configure_logging(settings, "worker")
    gc.set_threshold(*GC_THRESHOLD)
    stop_metrics = serve_metrics(settings, "worker")
    with open_platform(settings) as platform, _jobs(platform):
        code = run_worker(platform, (*ALL, *POLICIES), started=announce_ready)
    stop_metrics()
    raise SystemExit(code)


@contextmanager
def _jobs(platform: Platform) -> Iterator[None]:
    """What has to happen because time passed."""
    jobs = (
        _sending,
        _expiring,
        _expiring_rights,
        _watching,
        _climbing,
        _erasing,
        _exporting,
        _keeping_snapshots,
        _mailing,
        _resetting,
        _settling,
        _expiring_invites,
        _carrying_out,
        _warning,
        _giving_up,
        _sealing,
        _judging,
    )
    with ExitStack() as running:
        for job in jobs:
            running.enter_context(job(platform))
        yield


@contextmanager
def _sending(platform: Platform) -> Iterator[None]:
    """Keep Meilisearch up to date meanwhile, if the settings name one."""
    sender = open_sender(platform.projector_pool, platform.settings)
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stop,), daemon=True) if sender else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread:
            thread.join(5)


def expire_bans(platform: Platform, now: datetime) -> None:
    """Record of every ban whose time is over that it is."""
    with platform.pool.connection() as connection:
        due = due_bans(connection, now, EXPIRED_AT_ONCE)
    for ban_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(EXPIRY, str(ban_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_ban(platform.store(SYSTEM, metadata=metadata), ban_id, now)


def _expiring(platform: Platform) -> AbstractContextManager[None]:
    return every(EXPIRE_BANS_S, "expire_bans", partial(expire_bans, platform))


def expire_all_rights(platform: Platform, now: datetime) -> None:
    """Record of every grant, denial and secondary group whose time is over that it is."""
    with platform.pool.connection() as connection:
        due = due_rights(connection, now, EXPIRED_AT_ONCE)
    for user_id, position in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(RIGHTS_EXPIRY, f"{user_id}:{position}"))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_rights(platform.store(SYSTEM, metadata=metadata), user_id, now)


def _expiring_rights(platform: Platform) -> AbstractContextManager[None]:
    return every(EXPIRE_RIGHTS_S, "expire_rights", partial(expire_all_rights, platform))


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


def _judging(platform: Platform) -> AbstractContextManager[None]:
    return every(SETTLE_CRITERIA_S, "settle_criteria", partial(settle_changed_criteria, platform, {}))


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


def _watching(platform: Platform) -> AbstractContextManager[None]:
    return every(WATCH_RATIOS_S, "watch_ratios", partial(watch_ratios, platform))


def erase_persons(platform: Platform, now: datetime) -> None:
    """Go on with every erasure that is not complete; one that fails keeps no other one waiting."""
    with platform.pool.connection() as connection:
        due = due_erasures(connection, ERASED_AT_ONCE)
        completed = last_completed(connection)
    for user_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(ERASURE, str(user_id)))
        try:
            with suppress(AlreadyDone, VersionConflict):  # another worker was faster
                go_on_erasing(platform, platform.store(SYSTEM, metadata=metadata), user_id)
        except Exception:
            log.exception("erasure_failed", user_id=str(user_id))
    with platform.projector_pool.connection() as connection:
        drop_standbys(connection, completed)


def _erasing(platform: Platform) -> AbstractContextManager[None]:
    return every(ERASE_S, "erase_persons", partial(erase_persons, platform))


def tell_of_guesses(platform: Platform, now: datetime) -> None:
    """Tell everybody at whose account somebody guesses passwords."""
    tell_of_failures(platform, platform.store(SYSTEM), now)


def _warning(platform: Platform) -> AbstractContextManager[None]:
    return every(TELL_OF_GUESSES_S, "tell_of_guesses", partial(tell_of_guesses, platform))


def build_exports(platform: Platform, now: datetime) -> None:
    """Put together the archives that somebody waits for, and delete those whose time is over."""
    with platform.pool.connection() as connection:
        due = due_exports(connection, EXPORTED_AT_ONCE)
        forget_archives(connection, now)
    for user_id in due:
        archive = archive_of(platform, user_id, now)
        with suppress(VersionConflict, KeyDestroyed):  # another worker was faster, or the person is erased
            finish_export(platform, platform.store(SYSTEM, "policy"), user_id, archive, now)


def _exporting(platform: Platform) -> AbstractContextManager[None]:
    return every(EXPORT_S, "build_exports", partial(build_exports, platform))


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
                promote_or_demote(store, one.user_id, one.to, one.standing)
        if len(found) < WATCHED_AT_ONCE:
            return
        after = found[-1].user_id


def _climbing(platform: Platform) -> AbstractContextManager[None]:
    return every(MOVE_ON_LADDER_S, "move_on_ladder", partial(move_on_ladder, platform))


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


def _giving_up(platform: Platform) -> AbstractContextManager[None]:
    return every(GIVE_UP_UNUSED_S, "give_up_unused", partial(give_up_unused, platform))


def take_snapshots(platform: Platform, now: datetime) -> None:
    """Spare the next reader of a long stream its history; any worker may."""
    platform.history.take_snapshots()


def _keeping_snapshots(platform: Platform) -> AbstractContextManager[None]:
    return every(TAKE_SNAPSHOTS_S, "take_snapshots", partial(take_snapshots, platform))


def deliver_mail(platform: Platform, now: datetime) -> None:
    """Hand over what commands have posted; workers share it."""
    deliver(platform.pool, platform.settings, now)


def _mailing(platform: Platform) -> AbstractContextManager[None]:
    return every(DELIVER_MAIL_S, "deliver_mail", partial(deliver_mail, platform))


@contextmanager
def _carrying_out(platform: Platform) -> Iterator[None]:
    """What is ordered of read tables, and their checks at night, in processes of their own."""
    env = {name: value for name, value in os.environ.items() if name != METRICS_DIRECTORY}
    command = [sys.executable, "-m", "runtime.cli", "projections"]
    carriers = Carriers(platform, lambda words: [*command, *words], env | platform.settings.environ())
    with every(CARRY_OUT_S, "carry_out", carriers.look):
        yield
    carriers.close()


def seal_log(platform: Platform, now: datetime) -> None:
    """Chain and sign the events that are due; one worker at a time does."""
    seal(platform.projector_pool, signing_key(platform.site_key(PURPOSE)))


def _sealing(platform: Platform) -> AbstractContextManager[None]:
    return every(SEAL_S, "seal_log", partial(seal_log, platform))


def _resetting(platform: Platform) -> AbstractContextManager[None]:
    return every(ANSWER_RESETS_S, "answer_reset_requests", partial(answer_reset_requests, platform))


def settle_emails(platform: Platform, now: datetime) -> None:
    """Free the former addresses whose changes can no longer be undone."""
    with platform.pool.connection() as connection:
        due = settling_changes(connection, now, SETTLED_AT_ONCE)
    for change_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(SETTLING, str(change_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            settle_email_change(platform.store(SYSTEM, metadata=metadata), platform.secrets.site, change_id, now)


def _settling(platform: Platform) -> AbstractContextManager[None]:
    return every(SETTLE_EMAILS_S, "settle_emails", partial(settle_emails, platform))


def expire_invites(platform: Platform, now: datetime) -> None:
    """Record of every invite whose time is over that it is, and give it back to its sender."""
    with platform.pool.connection() as connection:
        due = due_invites(connection, now, EXPIRED_AT_ONCE)
    for invite_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(INVITE_EXPIRY, str(invite_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_invite(platform.store(SYSTEM, metadata=metadata), platform.secrets.site, invite_id, now)


def _expiring_invites(platform: Platform) -> AbstractContextManager[None]:
    return every(EXPIRE_INVITES_S, "expire_invites", partial(expire_invites, platform))
