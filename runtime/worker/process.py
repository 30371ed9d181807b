"""The worker process itself, and how often it does what time brings about."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial

from commands.password_resets import answer_reset_requests
from commands.policies import POLICIES
from commands.security_notices import tell_of_failures
from domain.base import SYSTEM
from projections import ALL
from projections.search import open_sender
from runtime.audit.block import PURPOSE, signing_key
from runtime.audit.seal import seal
from runtime.mail_delivery import deliver
from runtime.platform import Platform
from runtime.rebuild.carriers import Carriers
from runtime.schedule import every
from runtime.settings import Settings
from runtime.site import open_platform
from runtime.supervisor import announce_ready
from runtime.telemetry import METRICS_DIRECTORY, configure_logging, serve_metrics
from runtime.worker.due import (
    build_exports,
    erase_persons,
    expire_all_rights,
    expire_all_warnings,
    expire_bans,
    expire_invites,
    forget_strangers,
    settle_emails,
)
from runtime.worker.rounds import give_up_unused, move_on_ladder, settle_changed_criteria, watch_ratios
from runtime.worker_loop import run_worker

#: A batch of facts makes many objects that live until its commit: collecting among them finds nothing and costs a
#: third of the time (announces projected per second, 12,000 to 17,000).
GC_THRESHOLD = (100_000, 20, 50)
#: How soon a worker begins what somebody orders.
CARRY_OUT_S = 1.0

Job = Callable[[Platform, datetime], None]


def serve(settings: Settings) -> None:
    """Follow the log until SIGTERM or SIGINT."""
    configure_logging(settings, "worker")
    gc.set_threshold(*GC_THRESHOLD)
    stop_metrics = serve_metrics(settings, "worker")
    with open_platform(settings) as platform, _jobs(platform):
        code = run_worker(platform, (*ALL, *POLICIES), started=announce_ready)
    stop_metrics()
    raise SystemExit(code)


def tell_of_guesses(platform: Platform, now: datetime) -> None:
    """Tell everybody at whose account somebody guesses passwords."""
    tell_of_failures(platform, platform.store(SYSTEM), now)


def take_snapshots(platform: Platform, now: datetime) -> None:
    """Spare the next reader of a long stream its history; any worker may."""
    platform.history.take_snapshots()


def deliver_mail(platform: Platform, now: datetime) -> None:
    """Hand over what commands have posted; workers share it."""
    deliver(platform.pool, platform.settings, now)


def seal_log(platform: Platform, now: datetime) -> None:
    """Chain and sign the events that are due; one worker at a time does."""
    seal(platform.projector_pool, signing_key(platform.site_key(PURPOSE)))


#: Seconds between a job's end and its next beginning.
JOBS: tuple[tuple[float, Job], ...] = (
    (1.0, expire_bans),  # the API compares a ban's end with the present time; the edge and the read tables are told
    (1.0, expire_all_rights),  # as with bans
    (60.0, expire_all_warnings),  # everybody compares a warning's end with the present time
    (30.0, watch_ratios),  # they change with every announce; who falls below the rule gets away with it for so long
    (600.0, move_on_ladder),  # classes are for months; one class at a time
    (1.0, erase_persons),  # takes some looks: what is found by the name, the key, and that nobody uses it any more
    (3600.0, forget_strangers),  # days count here too
    (2.0, build_exports),  # whoever asks for everything about oneself waits for so long, and for the archives before
    (600.0, take_snapshots),  # long streams are rare and grow slowly
    (1.0, deliver_mail),
    (1.0, answer_reset_requests),
    (60.0, settle_emails),  # nobody waits for the end of the week in which a change of an address can be undone
    (60.0, expire_invites),
    (60.0, tell_of_guesses),  # guesses are told of once a day
    (3600.0, give_up_unused),  # days count here: an hour is soon enough
    (1.0, seal_log),  # what nobody has sealed yet, nobody would see changed
)
#: How soon other criteria of achievements hold for what was done before.
SETTLE_CRITERIA_S = 30.0


@contextmanager
def _jobs(platform: Platform) -> Iterator[None]:
    """What has to happen because time passed."""
    with ExitStack() as running:
        running.enter_context(_sending(platform))
        for seconds, job in JOBS:
            running.enter_context(every(seconds, job.__name__, partial(job, platform)))
        settle = partial(settle_changed_criteria, platform, {})
        running.enter_context(every(SETTLE_CRITERIA_S, "settle_criteria", settle))
        running.enter_context(_carrying_out(platform))
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


@contextmanager
def _carrying_out(platform: Platform) -> Iterator[None]:
    """What is ordered of read tables, and their checks at night, in processes of their own."""
    env = {name: value for name, value in os.environ.items() if name != METRICS_DIRECTORY}
    command = [sys.executable, "-m", "runtime.cli", "projections"]
    carriers = Carriers(platform, lambda words: [*command, *words], env | platform.settings.environ())
    with every(CARRY_OUT_S, "carry_out", carriers.look):
        yield
    carriers.close()
