"""Whatever members do to requests in whatever order, no point appears, disappears or is spent twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from commands.requests import (
    AddBounty,
    FillRequest,
    OpenRequest,
    RejectFill,
    accept_fill,
    add_bounty,
    cancel_request,
    fill_request,
    open_request,
    reject_fill,
)
from domain.bonus import Account, AccountKind, InsufficientPoints
from domain.errors import DomainError
from domain.requests import BountyTooSmall, Request, RequestState
from projections.bonus import bonus
from projections.requests import requests
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.store import VersionConflict
from tests.given import projected, rows_of
from tests.members import Members

pytestmark = pytest.mark.engine

WHO = st.integers(0, 3)
POINTS = st.sampled_from([0.5, 1, 2.345, 40, 99.999, 100, 150])
EARNED = 100_000


def balance(platform: Platform, kind: AccountKind, owner_id: UUID) -> int:
    fresh = Account.open(kind, owner_id)
    found = platform.store(owner_id).find(Account, fresh.id)
    return 0 if found is None else found.balance


class Market(RuleBasedStateMachine):
    """Three members with 100 points each and a moderator do anything to any request; refusals change nothing."""

    members: Members
    platform: Platform
    runs = 0
    requests: Bundle[UUID] = Bundle("requests")

    @initialize(target=requests)
    def open_market(self) -> MultipleResults[UUID]:
        type(self).runs += 1
        names = [f"{name}-{self.runs}" for name in ("ada", "bob", "eve")]
        self.people = [self.members.join(name, points=100) for name in names]
        self.people.append(self.members.join(f"mod-{self.runs}", "moderator"))
        self.torrents = [member.uploads().id for member in self.people]
        wish = OpenRequest(title="A film", description="", category="movies-hd", bounty=10)
        self.opened = [open_request(wish, member.caller, member.store).id for member in self.people[:3]]
        return multiple(*self.opened)

    @rule(target=requests, who=WHO, points=POINTS)
    def opens(self, who: int, points: float) -> MultipleResults[UUID]:
        member = self.people[who]
        command = OpenRequest(title="A film", description="", category="movies-hd", bounty=points)  # type: ignore[arg-type]
        try:
            self.opened.append(open_request(command, member.caller, member.store).id)
        except (InsufficientPoints, BountyTooSmall):
            return multiple()
        return multiple(self.opened[-1])

    @rule(request=requests, who=WHO, points=POINTS)
    def raises(self, request: UUID, who: int, points: float) -> None:
        member = self.people[who]
        self.attempt(lambda: add_bounty(request, AddBounty(points=points), member.caller, member.store))  # type: ignore[arg-type]

    @rule(request=requests, who=WHO, torrent=WHO)
    def fills(self, request: UUID, who: int, torrent: int) -> None:
        member, command = self.people[who], FillRequest(torrent_id=self.torrents[torrent])
        self.attempt(lambda: fill_request(request, command, member.caller, member.store))

    @rule(request=requests, who=WHO)
    def rejects(self, request: UUID, who: int) -> None:
        member = self.people[who]
        self.attempt(lambda: reject_fill(request, RejectFill(reason="no"), member.caller, member.store))

    @rule(request=requests, who=WHO)
    def accepts(self, request: UUID, who: int) -> None:
        member = self.people[who]
        self.attempt(lambda: accept_fill(request, member.caller, member.store))

    @rule(request=requests)
    def is_answered_by_its_requester(self, request: UUID) -> None:
        found = self.platform.store(request).get(Request, request)
        requester = next(member for member in self.people if member.id == found.requester_id)
        self.attempt(lambda: accept_fill(request, requester.caller, requester.store))

    @rule(request=requests, who=WHO)
    def cancels(self, request: UUID, who: int) -> None:
        member = self.people[who]
        self.attempt(lambda: cancel_request(request, member.caller, member.store))

    @invariant()
    def no_point_appears_or_disappears(self) -> None:
        if not hasattr(self, "people"):
            return
        users = [balance(self.platform, AccountKind.BONUS, member.id) for member in self.people]
        escrows = [balance(self.platform, AccountKind.ESCROW, request) for request in self.opened]
        issued = sum(balance(self.platform, AccountKind.ISSUANCE, member.id) for member in self.people)
        assert issued == -3 * EARNED
        assert sum(users) + sum(escrows) + issued == 0
        assert min([*users, *escrows]) >= 0

    @invariant()
    def an_escrow_holds_the_bounty_and_nothing_once_closed(self) -> None:
        for request_id in getattr(self, "opened", []):
            request = self.platform.store(request_id).get(Request, request_id)
            held = balance(self.platform, AccountKind.ESCROW, request_id)
            assert held == request.bounty
            if request.state in {RequestState.ACCEPTED, RequestState.CANCELLED}:
                assert held == 0

    @staticmethod
    def attempt(command: object) -> None:
        assert callable(command)
        try:
            command()
        except DomainError:
            pass


def test_any_order_of_commands_keeps_every_point(members: Members, platform: Platform) -> None:
    market = type("Market", (Market,), {"members": members, "platform": platform})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        market, settings=settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    )
    projected(platform, bonus, requests)
    assert rows_of(platform, "SELECT sum(balance)::bigint FROM read.ledger_account") == [(0,)]
    assert rows_of(platform, "SELECT entry_id FROM read.ledger_open_entry") == []
    assert {check.differences for check in verify(platform, bonus)} == {0}


def test_two_parallel_spends_of_one_balance_have_one_winner(members: Members, platform: Platform) -> None:
    """Both see 100 points; the store lets one of them commit, and the other, trying again, finds them spent."""
    ada = members.join("ada", points=100)
    together = Barrier(2)

    def spend(title: str) -> object:
        command = OpenRequest(title=title, description="", category="movies-hd", bounty=60)
        together.wait()
        for _ in range(3):
            try:
                return open_request(command, ada.caller, ada.store)
            except VersionConflict:
                continue
            except InsufficientPoints as refused:
                return refused
        raise AssertionError("the winner had committed: the second attempt finds less")

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(spend, ("one", "other")))
    assert sorted(type(answer).__name__ for answer in answers) == ["InsufficientPoints", "RequestReceipt"]
    assert ada.account().balance == 40_000
    projected(platform, bonus, requests)
    assert rows_of(platform, "SELECT count(*) FROM read.request") == [(1,)]


def test_many_grants_at_once_all_arrive(members: Members, platform: Platform) -> None:
    ada = members.join("ada")

    def earn(_: int) -> None:
        while True:
            try:
                return ada.earns(1_000)
            except VersionConflict:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(earn, range(12)))
    assert ada.account().balance == 12_000
    projected(platform, bonus)
    assert rows_of(platform, "SELECT balance FROM read.ledger_balance") == [(12_000,)]
    assert rows_of(platform, "SELECT entry_id FROM read.ledger_open_entry") == []
