"""Everybody who may call, and what they, a member and a sysop have that a path can name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from commands.default_data import seed
from domain.api_keys import ApiKey, Scope
from domain.applications import Application
from domain.bans import Ban, BanKind, ban_claim_id
from domain.base import SYSTEM, Aggregate, natural_id
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.claims import Claim, claim_id
from domain.client_rules import ClientRule, ClientRuleKind, Terms
from domain.erasures import ErasureProposal
from domain.factors import FREE
from domain.invites import Invite
from domain.moderation import Case, Outcome
from domain.permissions import Permission
from domain.requests import Request
from domain.rights import Rights
from domain.sessions import Session
from domain.site_promotions import SitePromotion
from domain.torrents import Torrent
from domain.users import User
from domain.warnings import Warnings
from runtime.api_keys import keep_key, new_key
from runtime.platform import Platform
from runtime.store import new_id
from tests.authorization.matrix import GROUPS
from tests.given import projected, rows_of
from tests.torrents.uploads import upload

#: Who else calls than one member of each group. All of these are sysops, so that only what they are named for refuses.
ANONYMOUS, BANNED, DISABLED, READING_KEY, WRITING_KEY = (
    "nobody",
    "a banned one",
    "a disabled one",
    "a reading key",
    "a writing key",
)
CALLERS = (*GROUPS, ANONYMOUS, BANNED, DISABLED, READING_KEY, WRITING_KEY)

FAR = datetime(2099, 1, 1, tzinfo=UTC)
#: Ids by the names of path parameters, and by other names where a route needs its thing in another state.
Things = dict[str, object]


@dataclass(frozen=True)
class Person:
    id: UUID
    headers: dict[str, str]
    things: Things


class Cast:
    """One caller of each kind; `bob`, a member, and `root`, a sysop, own what is somebody else's."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        seed(platform.store(SYSTEM, "seed"))
        self.things = self._site_things()
        self.bob, self.root = self._join("bob", "member"), self._join("root", "sysop")
        self._save(_rights(self.bob.id))
        sysop = self._join("sysop", "sysop")
        self.callers = {group: self._join(f"a_{group}", group) for group in GROUPS if group != "sysop"}
        self.callers["sysop"] = sysop
        self.callers[ANONYMOUS] = Person(new_id(), {}, dict(sysop.things))
        self.callers[BANNED], self.callers[DISABLED] = self._join("gone", "sysop"), self._join("closed", "sysop")
        self._save(_ban(self.callers[BANNED].id, BanKind.ACCOUNT))
        closed = platform.store(SYSTEM).get(User, self.callers[DISABLED].id)
        closed.disable("r")
        self._save(closed)
        for name, scopes in ((READING_KEY, [Scope.READ]), (WRITING_KEY, [Scope.READ, Scope.WRITE])):
            self.callers[name] = Person(sysop.id, self._key(sysop.id, scopes)[1], sysop.things)
        recorded = -1
        while recorded != self.count_events():  # policies record facts, too, and the site's health is asked for later
            recorded = self.count_events()
            projected(platform, *platform.followers)
        for follower in platform.followers:  # also those that have nothing to read: they are asked how far they are
            projected(platform, follower)
        self.recorded = self.count_events()

    def count_events(self) -> int:
        return int(rows_of(self.platform, "SELECT count(*) FROM es.event")[0][0])

    def _site_things(self) -> Things:
        """What is nobody's own."""
        now = datetime.now(UTC)
        rule = ClientRule.define(new_id(), ClientRuleKind.DENY, Terms("x", "-XX", None, [], [], "r", []))
        promotion = SitePromotion.start(new_id(), FREE, None, now=now)
        application = Application.file(new_id(), new_id(), "stranger@example.org", "x" * 50, [])
        self._save(rule, promotion, application)
        with self.platform.pool.connection() as connection:  # the file of every upload of `tests.torrents.uploads`
            connection.execute("INSERT INTO es.blob (sha256, data) VALUES (%s, %s)", (bytes(32), b"d4:infodee"))
        achievement_id = natural_id("achievement_rule", "uploads-900")
        return {
            "achievement_id": achievement_id,
            "application_id": application.id,
            "rule_id": rule.id,
            "promotion_id": promotion.id,
            "permission": str(Permission.INVITE),
        }

    def _join(self, name: str, group: str) -> Person:
        """Somebody with a session and one of everything."""
        user = User.register(new_id(), name, f"{name}@example.org", group)
        session = Session.start(new_id(), user.id)
        tokens: list[str] = []

        def begin(cursor: Any) -> None:
            pair = self.platform.tokens.start_session(cursor, user.id, datetime.now(UTC), session_id=session.id)
            tokens.append(pair.access_token)

        self.platform.store(user.id).save(user, session, beside=begin)
        things: Things = {"user_id": user.id, "session_id": session.id, "slug": group, **self._made(name, user.id)}
        return Person(user.id, {"Authorization": f"Bearer {tokens[0]}"}, things)

    def _made(self, name: str, user_id: UUID) -> Things:
        listed, pending = (_upload(user_id, listed=state) for state in (True, False))
        wish, filled = (Request.open(new_id(), user_id, "A wish", "", "books") for _ in range(2))
        filled.add_bounty(user_id, 1000)
        filled.fill(new_id(), listed)
        case, decided = (Case.open(new_id(), "user", user_id, user_id) for _ in range(2))
        decided.decide(new_id(), Outcome.DISMISSED, "r")
        about = Claim.make(claim_id("case", f"user:{user_id}"), "case", decided.id)
        ban = _ban(user_id, BanKind.INVITE)
        if name != "bob":  # what callers may do is not what bans leave of it
            ban.lift("r", now=datetime.now(UTC))
        kind = Claim.make(ban_claim_id(user_id, BanKind.INVITE), "ban", ban.id)
        proposal = ErasureProposal.make(new_id(), user_id, new_id(), "r", now=datetime.now(UTC))
        invite = Invite.send(new_id(), new_id(), f"guest-of-{name}@example.org", FAR, inviter_id=user_id)
        warnings, warning_id = Warnings.open(user_id), new_id()
        warnings.give(warning_id, "r", FAR, now=datetime.now(UTC))
        if name != "bob":  # nor what warnings leave of it
            warnings.lift(warning_id, "r", now=datetime.now(UTC))
        self._save(proposal, invite, warnings)
        self._save(listed, pending, wish, filled, case, decided, about, ban, kind, *self._money(user_id, filled.id))
        things: Things = {"torrent_id": listed.id, "request_id": wish.id, "case_id": case.id, "ban_id": ban.id}
        things |= {"proposal_id": proposal.id, "invite_id": invite.id, "warning_id": warning_id}
        key_id = self._key(user_id, [Scope.READ])[0]
        return things | {"key_id": key_id, "pending": pending.id, "filled": filled.id, "decided": decided.id}

    def _money(self, user_id: UUID, request_id: UUID) -> list[Aggregate]:
        """Enough to spend, and a bounty in escrow."""
        store, cause = self.platform.store(SYSTEM), Cause(PostingKind.GRANTED, "grant", new_id(), "pay")
        issuance, account = Account.open(AccountKind.ISSUANCE, user_id), Account.open(AccountKind.BONUS, user_id)
        issuance = store.find(Account, issuance.id) or issuance
        escrow = Account.open(AccountKind.ESCROW, request_id)
        transfer(issuance, account, 1_000_000, cause, entry_id=new_id())
        transfer(account, escrow, 1000, cause, entry_id=new_id())
        return [issuance, account, escrow]

    def _key(self, user_id: UUID, scopes: list[Scope]) -> tuple[UUID, dict[str, str]]:
        key, issued, now = new_key(), ApiKey.issue(new_id(), user_id, "k", scopes), datetime.now(UTC)
        self.platform.store(user_id).save(
            issued, beside=lambda cursor: keep_key(cursor, issued.id, user_id, key, issued.scopes, now)
        )
        return issued.id, {"Authorization": f"Bearer {key}"}

    def _save(self, *aggregates: Aggregate) -> None:
        self.platform.store(SYSTEM).save(*aggregates)


def _ban(user_id: UUID, kind: BanKind) -> Ban:
    return Ban.impose(new_id(), user_id, kind, "r", None, now=datetime.now(UTC))


def _upload(user_id: UUID, *, listed: bool) -> Torrent:
    return upload(new_id().int >> 8, uploader_id=user_id, trusted=listed)


def _rights(user_id: UUID) -> Rights:
    rights, now = Rights.open(user_id), datetime.now(UTC)
    rights.grant(Permission.INVITE, "r", None, now=now)
    rights.give_group("designer", "r", None, now=now)
    return rights
