"""Postings become rows and balances, and a ledger whose events contradict each other stops the projection."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.bonus import Account, AccountKind
from domain.default_data import BONUS_RULES
from projections.bonus import bonus
from projections.bonus_rules import bonus_rules
from queries.bonus import postings
from queries.bonus_rules import rules
from runtime import follow
from runtime.follow import Step
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import NOON, Given, halted_error, projected, rows_of
from tests.members import Members

pytestmark = pytest.mark.engine


def posted(account: UUID, version: int, entry: UUID, amount: int, balance: int, counter: UUID) -> Any:
    kind: Any = Account.Posted
    return kind(
        originator_id=account,
        originator_version=version,
        timestamp=NOON,
        entry_id=entry,
        amount=amount,
        balance=balance,
        kind="granted",
        subject_type="grant",
        subject_id=entry,
        text="",
        counter_account_id=counter,
    )


def opened(account: UUID) -> Any:
    """An account that may fall below zero, so that only the checks between events can refuse."""
    kind: Any = Account.Opened
    return kind(
        originator_id=account,
        originator_version=1,
        originator_topic="account",
        timestamp=NOON,
        kind=AccountKind.ISSUANCE,
        owner_id=uuid4(),
    )


def test_every_account_shows_its_own_postings_newest_first(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada", points=5), members.join("bob", points=7)
    ada.earns(250)
    projected(platform, bonus)
    with platform.pool.connection() as db:
        mine = postings(db, ada.account().id, None, 10)
        theirs = postings(db, bob.account().id, None, 10)
        older = postings(db, ada.account().id, mine[0].position, 10)
    assert [(p.amount, p.balance, p.kind, p.cause.text) for p in mine] == [
        (250, 5_250, "granted", "pay"),
        (5_000, 5_000, "granted", "pay"),
    ]
    assert [(p.amount, p.balance) for p in theirs] == [(7_000, 7_000)]
    assert older == mine[1:]


def test_balances_are_kept_per_user_and_the_whole_ledger_sums_to_zero(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada", points=5), members.join("bob", points=7)
    projected(platform, bonus)
    assert set(rows_of(platform, "SELECT user_id, balance FROM read.ledger_balance")) == {
        (ada.id, 5_000),
        (bob.id, 7_000),
    }
    assert rows_of(platform, "SELECT sum(balance)::bigint FROM read.ledger_account") == [(0,)]
    assert rows_of(platform, "SELECT account_id FROM read.ledger_open_entry") == []
    issuing = rows_of(platform, "SELECT account_id FROM read.ledger_account WHERE kind = 'issuance'")
    assert {row[0] for row in issuing} == {Account.open(AccountKind.ISSUANCE, user.id).id for user in (ada, bob)}


def test_a_second_replay_gives_the_same_rows(members: Members, platform: Platform) -> None:
    members.join("ada", points=5)
    members.join("bob", points=7)
    projected(platform, bonus, bonus_rules)
    assert {check.differences for check in verify(platform, bonus)} == {0}
    assert {check.differences for check in verify(platform, bonus_rules)} == {0}


def test_rules_are_listed_in_the_order_in_which_they_apply(members: Members, platform: Platform) -> None:
    projected(platform, bonus_rules)
    with platform.pool.connection() as db:
        assert [(r.slug, tuple(r.terms)) for r in rules(db)] == [(slug, terms) for slug, _, _, terms in BONUS_RULES]


def test_a_balance_that_is_not_the_sum_of_its_postings_stops_the_projection(given: Given) -> None:
    source, target, entry = uuid4(), uuid4(), uuid4()
    given.facts(opened(source), opened(target))
    given.facts(posted(source, 2, entry, -5, -5, target), posted(target, 2, entry, 5, 6, source))
    assert given.platform.engine().drain(bonus) is Step.HALTED
    assert "its event says 6" in halted_error(given.platform, bonus)


def test_halves_of_different_size_stop_the_projection(given: Given) -> None:
    source, target, entry = uuid4(), uuid4(), uuid4()
    given.facts(opened(source), opened(target))
    given.facts(posted(source, 2, entry, -5, -5, target), posted(target, 2, entry, 6, 6, source))
    assert given.platform.engine().drain(bonus) is Step.HALTED
    assert "do not sum to zero" in halted_error(given.platform, bonus)


def test_halves_in_two_commands_stop_the_projection(given: Given) -> None:
    source, target, entry = uuid4(), uuid4(), uuid4()
    given.facts(opened(source), opened(target))
    given.facts(posted(source, 2, entry, -5, -5, target))
    given.facts(posted(target, 2, entry, 5, 5, source))
    assert given.platform.engine().drain(bonus) is Step.HALTED
    assert "in one command" in halted_error(given.platform, bonus)


@pytest.mark.parametrize("next_on", ["source", "target"])
def test_a_lone_half_stops_the_projection_when_its_accounts_move_on(given: Given, next_on: str) -> None:
    source, target, third = uuid4(), uuid4(), uuid4()
    given.facts(opened(source), opened(target), opened(third))
    given.facts(posted(source, 2, uuid4(), -5, -5, target))
    projected(given.platform, bonus)
    assert len(rows_of(given.platform, "SELECT entry_id FROM read.ledger_open_entry")) == 1
    account, version, before = (source, 3, -5) if next_on == "source" else (target, 2, 0)
    entry = uuid4()
    given.facts(posted(account, version, entry, -1, before - 1, third), posted(third, 2, entry, 1, 1, account))
    assert given.platform.engine().drain(bonus) is Step.HALTED
    assert "do not sum to zero" in halted_error(given.platform, bonus)


@pytest.mark.parametrize("facts_at_once", [1, 2, 5, 500])
def test_entries_of_other_accounts_may_stand_between_two_halves(
    given: Given, monkeypatch: pytest.MonkeyPatch, facts_at_once: int
) -> None:
    """Commands that are saved at the same moment take turns in the order of positions; the halves of an entry need not
    be handled in one transaction."""
    monkeypatch.setattr(follow, "BATCH", facts_at_once)
    monkeypatch.setattr(follow, "BATCH_MAX", facts_at_once)
    a, b, c, d = (uuid4() for _ in range(4))
    given.facts(*(opened(account) for account in (a, b, c, d)))
    one, other = uuid4(), uuid4()
    first, second = posted(a, 2, one, -5, -5, b), posted(b, 2, one, 5, 5, a)
    between = (posted(c, 2, other, -1, -1, d), posted(d, 2, other, 1, 1, c))
    given.facts(first, *between, second)
    projected(given.platform, bonus)
    assert rows_of(given.platform, "SELECT entry_id FROM read.ledger_open_entry") == []
    assert rows_of(given.platform, "SELECT count(*) FROM read.ledger_posting") == [(4,)]
    assert {check.differences for check in verify(given.platform, bonus)} == {0}
