"""The demo's history: through the real commands, in the past, the same for a seed, and right to the byte and point."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import typer
from psycopg.errors import UniqueViolation
from typer.testing import CliRunner

import domain
from commands.policies import POLICIES
from domain.announces import Announce, decode
from domain.base import SYSTEM
from domain.claims import Claim
from domain.peers import EdgeJournal
from projections import ALL
from projections.peers import peers
from runtime.demo import demo_command
from runtime.demo.bulk import BulkHistory
from runtime.demo.generate import BadScope, DemoTwice, Done, SiteInUse, generate
from runtime.demo.past import PastStore
from runtime.demo.scope import Scope
from runtime.embedded import Postgres
from runtime.facts import AnyCaused, FactLog
from runtime.journal import segments, verify
from runtime.platform import Platform
from runtime.rebuild import verify as verify_projection
from runtime.schedule import every
from runtime.settings import Settings
from runtime.store import Store, new_id, unbound_metadata
from runtime.worker.due import expire_bans
from runtime.worker_loop import WorkerLoop
from tests.conftest import SECRETS, as_user
from tests.engines import drop_database, fresh_database
from tests.given import projected, rows_of
from tests.members import Members

END = datetime(2025, 6, 1, tzinfo=UTC)
#: With a cheater among the members, a deleted torrent and a disabled user.
SMALL = Scope(users=20, torrents=30, start=END - timedelta(days=30), end=END, seed=2)
#: With promotions of every kind.
LONGER = Scope(users=40, torrents=60, start=END - timedelta(days=90), end=END, seed=1)
PASSWORD = "a password of the demo"


@pytest.fixture
def done(platform: Platform) -> Done:
    return generate(platform, SMALL, PASSWORD)


@pytest.fixture
def other_platform(settings: Settings, postgres: Postgres) -> Iterator[Platform]:
    """The same site on another database."""
    url = fresh_database(postgres)
    database = settings.database.model_copy(update={"url": as_user(url, "tracker_app"), "owner_url": url})
    with Platform(settings.model_copy(update={"database": database}), domain.EVENTS, secrets=SECRETS) as platform:
        yield platform
    drop_database(postgres, url)


def facts_of(platform: Platform) -> list[AnyCaused]:
    """Everything that the demo recorded: all of the log but what a new site starts with, and what its members achieved,
    which whoever follows the log records afterwards."""
    log = FactLog(platform.history)
    with platform.pool.connection() as connection:
        facts = log.read(connection, 0, log.safe_position(connection), None, 1_000_000)
    first = next(n for n, fact in enumerate(facts) if fact.topic == "user.registered")
    return [fact for fact in facts[first:] if not fact.topic.startswith(("achievement.", "torrent_fills."))]


def credited(platform: Platform) -> dict[bytes, tuple[int, ...]]:
    """By user, bytes that were moved and bytes that count; nobody who moved none."""
    rows = rows_of(platform, "SELECT user_id, raw_uploaded, raw_downloaded, uploaded, downloaded FROM read.user_stats")
    return {row[0].bytes: row[1:] for row in rows if any(row[1:])}


def booked(done: Done) -> dict[bytes, tuple[int, ...]]:
    """The same by the demo's own account."""
    sums = {user: dataclasses.astuple(its) for user, its in done.books.users.items()}
    return {user: its for user, its in sums.items() if any(its)}


def test_what_is_credited_is_what_the_books_of_the_demo_say(platform: Platform) -> None:
    done = generate(platform, LONGER, PASSWORD)
    projected(platform, *ALL)
    assert credited(platform) == booked(done)
    torrents = rows_of(platform, "SELECT torrent_id, uploaded, downloaded FROM read.torrent_stats")
    assert {row[0].bytes: row[1:] for row in torrents if any(row[1:])} == {
        torrent: (its.raw_uploaded, its.raw_downloaded)
        for torrent, its in done.books.torrents.items()
        if its.raw_uploaded or its.raw_downloaded
    }
    raw_up, raw_down, up, down = (sum(column) for column in zip(*credited(platform).values(), strict=True))
    assert up > raw_up, "some uploads counted twice"
    assert down < raw_down, "some downloads were free"


def test_announces_that_nobody_believes_are_the_lies_of_its_cheaters_and_no_others(
    platform: Platform, done: Done
) -> None:
    projected(platform, *ALL)
    anomalies = rows_of(platform, "SELECT anomaly, count(*) FROM read.transfer WHERE anomaly IS NOT NULL GROUP BY 1")
    assert done.books.lies > 0
    assert anomalies == [("implausible_rate", done.books.lies)]


def test_points_are_those_of_the_books(platform: Platform, done: Done) -> None:
    projected(platform, *ALL)
    balances = dict(rows_of(platform, "SELECT user_id, balance FROM read.ledger_balance"))
    assert balances == {user: done.books.points[user] for user in balances}
    assert sum(balances.values()) == sum(done.books.points.values()) > 0


def test_read_tables_equal_those_that_are_made_anew(platform: Platform, done: Done) -> None:
    projected(platform, *ALL)
    checks = [(p.name, check) for p in ALL for check in verify_projection(platform, p)]
    assert [(name, check) for name, check in checks if check.differences] == []
    assert sum(check.rows for _, check in checks) > 1000


def test_events_are_of_the_past_and_in_its_order(platform: Platform, done: Done) -> None:
    facts = facts_of(platform)
    assert len(facts) == done.events
    assert all(SMALL.start <= fact.at < SMALL.end for fact in facts)
    commands = [fact.at for fact in facts if fact.origin != "edge"]
    assert commands == sorted(commands)
    assert all(fact.recorded_at > SMALL.end for fact in facts), "when it was recorded is not made up"


def test_segments_follow_one_another_and_come_after_what_their_announces_are_about(
    platform: Platform, done: Done
) -> None:
    with platform.pool.connection() as connection:
        chain = list(segments(connection, "demo-2"))
    verify(chain)
    assert (len(chain), sum(one.announces for one in chain)) == (done.segments, done.announces)
    assert all(a.last_at <= b.first_at for a, b in zip(chain, chain[1:], strict=False))
    shipped = [fact for fact in facts_of(platform) if fact.origin == "edge"]
    assert [fact.at for fact in shipped] == [one.last_at for one in chain]


def said(fact: AnyCaused) -> Iterator[tuple[str, Any]]:
    """Apart from the hashes of segments: in those are addresses under keys of each site's own."""
    segments = isinstance(fact.event, EdgeJournal.SegmentsRecorded)
    return ((name, value) for name, value in vars(fact.event).items() if not (segments and name == "sha256"))


def announces_of(platform: Platform) -> list[Announce]:
    with platform.pool.connection() as connection:
        stored = list(segments(connection, "demo-2"))
    return [one for segment in stored for one in decode(segment.payload, platform.keyring.read_keys)]


def test_the_same_seed_makes_the_same_history(platform: Platform, other_platform: Platform, done: Done) -> None:
    again = generate(other_platform, SMALL, PASSWORD)
    assert (again.events, again.announces, again.books) == (done.events, done.announces, done.books)
    for one, other in zip(facts_of(platform), facts_of(other_platform), strict=True):
        assert (one.stream_id, one.version, one.topic, one.actor_id) == (
            other.stream_id,
            other.version,
            other.topic,
            other.actor_id,
        )
        assert [*said(one)] == [*said(other)]
    assert announces_of(platform) == announces_of(other_platform)


def test_every_kind_of_thing_happens(platform: Platform, done: Done) -> None:
    topics = {fact.topic for fact in facts_of(platform)}
    assert topics >= {
        "user.registered",
        "user.disabled",
        "torrent.uploaded",
        "torrent.approved",
        "torrent.deleted",
        "torrent.freeleech_granted",
        "torrent.promoted",
        "site_promotion.started",
        "account.posted",
        "request.opened",
        "case.opened",
        "case.decided",
        "ban.imposed",
        "edge_journal.segments_recorded",
    }


def test_policies_find_their_answers_given(platform: Platform, done: Done) -> None:
    before = len(facts_of(platform))
    projected(platform, *POLICIES)
    assert len(facts_of(platform)) == before
    deciding = [fact for fact in facts_of(platform) if fact.origin == "policy"]
    assert {fact.topic for fact in deciding} >= {"user.disabled"}


def test_the_demo_is_made_while_a_worker_follows(platform: Platform) -> None:
    worker = WorkerLoop(platform, (*ALL, *POLICIES))
    worker.start()
    try:
        with every(0.05, "expire_bans", partial(expire_bans, platform)):
            done = generate(platform, SMALL, PASSWORD)
    finally:
        worker.stop()
    projected(platform, *ALL, *POLICIES)
    assert len(facts_of(platform)) == done.events
    assert credited(platform) == booked(done)
    # Not `peers`: which torrents without traffic have a row of zeros depends on where a live batch ended.
    checks = [
        check for projection in ALL if projection is not peers for check in verify_projection(platform, projection)
    ]
    assert [check for check in checks if check.differences] == []


def test_afterwards_ids_are_of_the_present_again(platform: Platform, done: Done) -> None:
    began_ms = time.time_ns() // 1_000_000
    assert new_id().int >> 80 >= began_ms


def test_a_site_with_users_is_refused_unless_the_operator_insists(platform: Platform, members: Members) -> None:
    members.join("grace", "sysop")
    members.join("ada")
    with pytest.raises(SiteInUse):
        generate(platform, SMALL, PASSWORD)
    assert rows_of(platform, "SELECT count(*) FROM journal.segment") == [(0,)]
    assert generate(platform, SMALL, PASSWORD, force=True).users == SMALL.users


def test_a_site_of_sysops_is_not_in_use_and_a_seed_comes_once(platform: Platform, members: Members) -> None:
    members.join("grace", "sysop")
    generate(platform, SMALL, PASSWORD)
    with pytest.raises(DemoTwice):
        generate(platform, SMALL, PASSWORD, force=True)
    with pytest.raises(SiteInUse):
        generate(platform, dataclasses.replace(SMALL, seed=3), PASSWORD)
    generate(platform, dataclasses.replace(SMALL, seed=3), PASSWORD, force=True)
    projected(platform, *ALL)


@pytest.mark.parametrize("change", [{"users": 0}, {"torrents": 0}, {"start": END}, {"snatches": 0.0}], ids=str)
def test_a_site_of_nothing_is_refused(platform: Platform, change: dict[str, Any]) -> None:
    with pytest.raises(BadScope):
        generate(platform, dataclasses.replace(SMALL, **change), PASSWORD)


def test_a_batch_that_somebody_was_faster_than_is_not_there_at_all(platform: Platform) -> None:
    mine, contested = new_id(), new_id()
    with platform.pool.connection() as connection:
        history = BulkHistory(connection, platform.keyring)
        for stream_id in (mine, contested):
            _store(history).save(Claim.make(stream_id, "word", UUID(int=1)))
        platform.store(SYSTEM).save(Claim.make(contested, "word", UUID(int=2)))
        with pytest.raises(UniqueViolation):
            history.bulk.commit()
        history.bulk.give_up()
    assert platform.store(SYSTEM).find(Claim, mine) is None
    assert platform.store(SYSTEM).get(Claim, contested).holder_id == UUID(int=2)


def test_a_batch_is_seen_by_its_own_commands_at_once_and_by_others_when_it_is_committed(platform: Platform) -> None:
    claim_id = new_id()
    with platform.pool.connection() as connection:
        history = BulkHistory(connection, platform.keyring)
        _store(history).save(Claim.make(claim_id, "word", UUID(int=1)))
        claim = _store(history).get(Claim, claim_id)
        assert (claim.holder_id, claim.created_on) == (UUID(int=1), END)
        assert [fact.topic for fact in FactLog(history).stream(claim_id)] == ["claim.made"]
        assert platform.store(SYSTEM).find(Claim, claim_id) is None
        claim.release()
        _store(history).save(claim)
        history.bulk.commit()
    assert platform.store(SYSTEM).get(Claim, claim_id).version == 2


def test_the_command_says_what_it_made_and_the_password_of_its_accounts(platform: Platform) -> None:
    app = typer.Typer()
    app.command()(demo_command(lambda: nullcontext(platform)))
    small = ["--users", "20", "--torrents", "30", "--months", "1"]
    answer = CliRunner().invoke(app, [*small, "--until", "2025-06-01"])
    assert answer.exit_code == 0, answer.output
    assert "20 users and 30 torrents" in answer.output
    assert "announces in" in answer.output
    assert "signs in with the password" in answer.output
    assert CliRunner().invoke(app, [*small, "--until", "2999-01-01"]).exit_code == 2


def _store(history: BulkHistory) -> Store:
    return PastStore(history, unbound_metadata(SYSTEM, "seed"), lambda topics: None, at=END)
