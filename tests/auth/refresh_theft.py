"""A stolen refresh token: interleavings of victim and thief, made up by chance, against a model of RFC 9700 4.14.2."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request

import domain
from commands.auth import Logout, Refresh, SignedIn, logout, refresh
from domain.users import User
from runtime.credentials import session_started
from runtime.embedded import Postgres, Valkey
from runtime.http.deps import caller
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import NOBODY
from runtime.tokens import Unauthenticated
from tests.conftest import SECRETS, as_user
from tests.given import rows_of
from tests.members import Member, Members

GRACE_S = 20
ACCESS_S = 600
STEPS = 14
#: Around the ends of the grace and of an access token's life, and whatever else.
PAUSES_S = (0, 1, 5, 19, 20, 21, 40, 120, 599, 600, 601)


@dataclass
class Party:
    """A tab of the victim's, or the thief: the token it would present, and every access token it ever got."""

    name: str
    token: str
    access: dict[str, datetime] = field(default_factory=dict)  # token → when it was made


@dataclass
class Theft:
    """One session. The model: when each token was replaced and by which; whether the session lives."""

    platform: Platform
    member: Member
    chance: random.Random
    now: datetime
    replaced: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    alive: bool = True
    reused: bool = False
    seen: Counter[str] = field(default_factory=Counter)

    def play(self) -> None:
        """Fourteen steps, each of which has to go as the model has it."""
        first = self.member.pair
        tabs = [Party("tab", first.refresh_token, {first.access_token: self.now}) for _ in range(2)]
        thief = Party("thief", first.refresh_token)
        for _ in range(STEPS):
            self.step(tabs, thief)
            self.look_at_access(*tabs, thief)
        assert self.told() == self.reused, "the victim is told of a theft, and of nothing else"

    def step(self, tabs: list[Party], thief: Party) -> None:
        tab = self.chance.choice(tabs)
        match self.chance.choices(
            ("refresh", "lost", "steal", "thief", "parallel", "wait", "logout"), (5, 2, 3, 4, 3, 5, 0.3)
        )[0]:
            case "refresh":
                self.present(tab)
            case "lost":  # the answer is lost on its way
                self.present(tab, gets_it=False)
            case "steal":
                thief.token = tab.token
            case "thief":
                self.present(thief)
            case "parallel":
                self.present(*self.chance.sample([*tabs, thief], 2))
            case "wait":
                self.now += timedelta(seconds=self.chance.choice(PAUSES_S))
            case "logout":
                self.logout(tab)

    def present(self, *parties: Party, gets_it: bool = True) -> None:
        """These parties refresh at the same moment."""
        wanted = [self.expected(party.token) for party in parties]
        if len(parties) == 1:
            answers = [self.refresh(parties[0].token)]
        else:
            with ThreadPoolExecutor(len(parties)) as threads:
                answers = list(threads.map(lambda party: self.refresh(party.token), parties))
        if "reused" in wanted and any(one != "reused" for one in wanted):
            wanted = self.after_a_race(answers, wanted)
        for party, answer, want in zip(parties, answers, wanted, strict=True):
            self.settle(party, answer, want, gets_it=gets_it)

    def expected(self, token: str) -> str:
        """new, same, reused or refused."""
        if not self.alive:
            return "refused"
        if token not in self.replaced:
            return "new"
        return "same" if self.now - self.replaced[token][0] <= timedelta(seconds=GRACE_S) else "reused"

    def after_a_race(self, answers: Sequence[SignedIn | None], wanted: list[str]) -> list[str]:
        """One of them comes too late and ends the session, before or after the other gets its tokens: both may be."""
        self.seen["race"] += 1
        return [
            "refused" if answer is None and want != "reused" else want
            for answer, want in zip(answers, wanted, strict=True)
        ]

    def settle(self, party: Party, answer: SignedIn | None, want: str, *, gets_it: bool) -> None:
        self.seen[f"{party.name} {want}"] += 1
        if want in ("reused", "refused"):
            assert answer is None, f"{party.name} got tokens for one that is {want}"
            self.reused |= want == "reused"
            self.alive &= want != "reused"
            return
        assert answer is not None, f"{party.name} was refused although its token is good for {want}"
        at, successor = self.replaced.setdefault(party.token, (self.now, answer.refresh_token))
        assert answer.refresh_token == successor, f"two successors of one token: replaced at {at}"
        if gets_it:
            party.token = answer.refresh_token
            party.access[answer.access_token] = self.now

    def refresh(self, token: str) -> SignedIn | None:
        try:
            return refresh(Refresh(refresh_token=token), self.platform.store(NOBODY), self.platform, self.now)
        except Unauthenticated:
            return None

    def logout(self, tab: Party) -> None:
        self.seen["logout"] += 1
        logout(Logout(refresh_token=tab.token), self.platform.store(NOBODY), self.now)
        self.alive = False

    def look_at_access(self, *parties: Party) -> None:
        """The newest access token of each opens while it is young and the session lives, and not a moment longer."""
        for party in parties:
            for token, made in list(party.access.items())[-1:]:
                young = self.now - made < timedelta(seconds=ACCESS_S)
                assert self.opens(token) is (self.alive and young), f"the access token of {party.name}"

    def opens(self, token: str) -> bool:
        request, bearer = Request({"type": "http", "method": "GET"}), HTTPAuthorizationCredentials
        try:
            caller(request, self.platform, self.now, bearer(scheme="Bearer", credentials=token))
        except Unauthenticated:
            return False
        return True

    def told(self) -> bool:
        """Whether a mail has been posted since this was last asked."""
        with self.platform.pool.connection() as connection:
            return connection.execute("DELETE FROM credentials.mail").rowcount > 0


def thefts(platform: Platform, seed: int, count: int) -> Counter[str]:
    """So many interleavings; returns what happened in them."""
    members, seen = Members(platform), Counter[str]()
    alice = members.join("alice")
    user = platform.store(alice.id).get(User, alice.id)
    user.verify_email()  # an address that has answered is told of everything
    platform.store(alice.id).save(user)
    for n in range(count):
        member = members.sign_in(alice.id, "alice")
        with platform.pool.connection() as connection:
            started = session_started(connection, member.pair.session_id)
        assert started is not None
        theft = Theft(platform, member, random.Random(f"{seed}/{n}"), started)
        try:
            theft.play()
        except AssertionError as error:
            raise AssertionError(f"interleaving {n} of seed {seed}: {error}") from error
        seen += theft.seen
        seen["ended by reuse"] += theft.reused
    ends = "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'session.ended'"
    reuse = ends + " AND convert_from(e.data, 'utf8') LIKE '%%\"reuse\"%%'"
    assert rows_of(platform, reuse) == [(seen["ended by reuse"],)]
    return seen


@contextmanager
def stage(folder: Path) -> Iterator[Platform]:
    """A platform on engines of its own, for a campaign."""
    with Postgres(folder) as postgres, Valkey(folder) as valkey:
        migrate(postgres.url())
        servers = {"url": as_user(postgres.url(), "tracker_app"), "owner_url": postgres.url()}
        values = {"data_dir": folder, "redis": {"url": valkey.url()}, "database": servers}
        with Platform(Settings.model_validate(values), domain.EVENTS, secrets=SECRETS) as platform:
            yield platform
