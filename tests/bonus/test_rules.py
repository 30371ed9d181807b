"""Points move in pairs that sum to zero, and no balance of a user or an escrow falls below zero."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.base import MAX_COUNT
from domain.bonus import Account, AccountKind, BadAmount, Cause, InsufficientPoints, PostingKind, transfer

CAUSE = Cause(PostingKind.GRANTED, "grant", UUID(int=1), "welcome")


def account(kind: AccountKind = AccountKind.BONUS) -> Account:
    return Account.open(kind, uuid4())


def funded(thousandths: int) -> Account:
    """A bonus account that holds this much."""
    holder = account()
    transfer(account(AccountKind.ISSUANCE), holder, thousandths, CAUSE, entry_id=uuid4())
    return holder


def postings(holder: Account) -> list[tuple[int, int]]:
    return [(e.amount, e.balance) for e in holder.pending_events if isinstance(e, Account.Posted)]


def test_a_transfer_posts_both_halves_under_one_entry() -> None:
    source, target, entry_id = account(AccountKind.ISSUANCE), account(), uuid4()
    transfer(source, target, 2_500, CAUSE, entry_id=entry_id)
    taken, given = source.pending_events[-1], target.pending_events[-1]
    assert isinstance(taken, Account.Posted)
    assert isinstance(given, Account.Posted)
    assert (taken.amount, taken.balance, given.amount, given.balance) == (-2_500, -2_500, 2_500, 2_500)
    assert taken.entry_id == given.entry_id == entry_id
    assert (taken.counter_account_id, given.counter_account_id) == (target.id, source.id)


def test_more_than_an_account_holds_is_refused_and_nothing_moves() -> None:
    source, target = funded(1_000), account(AccountKind.ESCROW)
    with pytest.raises(InsufficientPoints):
        transfer(source, target, 1_001, CAUSE, entry_id=uuid4())
    assert (source.balance, target.balance) == (1_000, 0)
    assert postings(target) == []


def test_the_last_point_can_be_spent() -> None:
    source, target = funded(1_000), account(AccountKind.ESCROW)
    transfer(source, target, 1_000, CAUSE, entry_id=uuid4())
    assert (source.balance, target.balance) == (0, 1_000)


@pytest.mark.parametrize("amount", [0, -1, MAX_COUNT + 1, 10**30])
def test_an_amount_is_above_zero_and_fits_the_ledger(amount: int) -> None:
    source, target = account(AccountKind.ISSUANCE), account()
    with pytest.raises(BadAmount):
        transfer(source, target, amount, CAUSE, entry_id=uuid4())
    assert (postings(source), postings(target)) == ([], [])


def test_a_full_account_takes_no_more_and_the_giver_keeps_it() -> None:
    full, source = funded(MAX_COUNT), account(AccountKind.ISSUANCE)
    with pytest.raises(BadAmount):
        transfer(source, full, 1, CAUSE, entry_id=uuid4())
    assert (full.balance, postings(source)) == (MAX_COUNT, [])


def test_each_owner_has_one_account_of_a_kind() -> None:
    owner_id = uuid4()
    ids = {Account.open(kind, owner_id).id for kind in AccountKind for _ in range(2)}
    assert len(ids) == len(AccountKind)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-5, 5_000)), max_size=40))
def test_any_run_of_transfers_keeps_the_sum_and_stays_above_zero(moves: list[tuple[int, int, int]]) -> None:
    accounts = [funded(4_000), funded(3_000), account(), account(AccountKind.ESCROW)]
    for source, target, amount in moves:
        if source == target:
            continue
        try:
            transfer(accounts[source], accounts[target], amount, CAUSE, entry_id=uuid4())
        except (InsufficientPoints, BadAmount):
            continue
        finally:
            assert sum(a.balance for a in accounts) == 7_000
            assert min(a.balance for a in accounts) >= 0
    for one in accounts:
        assert one.balance == sum(amount for amount, _ in postings(one))
