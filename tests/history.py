"""A small history of a site in which every event type happens at least twice, in an order that could be real."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any
from uuid import UUID, uuid4

from psycopg import Cursor

from domain import achievement_rules
from domain.achievement_rules import CATALOGUE, AchievementCatalogue, Measure
from domain.achievements import Achievements, TorrentFills
from domain.announce_rules import AnnounceRules, RatioRule
from domain.announces import Announce, Event, encode
from domain.api_keys import ApiKey, Scope
from domain.applications import Application
from domain.bans import Ban, BanKind, ban_claim_id
from domain.base import SYSTEM, Aggregate
from domain.bonus import Account, AccountKind, Cause, PostingKind, account_id, transfer
from domain.claims import Claim
from domain.client_rules import ClientRule, ClientRuleKind, Terms
from domain.default_data import default_data
from domain.emails import UNDO_WITHIN, EmailChange
from domain.erasures import Erasure, ErasureProposal
from domain.exports import Export
from domain.factors import Factors
from domain.feed_keys import FeedKey
from domain.freeleech_tokens import FreeleechTokens
from domain.groups import Group, group_id
from domain.inactivity import Inactivity
from domain.invites import Invite, InviteAllowance
from domain.ladder import Criteria
from domain.linked_accounts import LinkGroup
from domain.looks import Look, LookAt
from domain.metainfo import File, Metainfo
from domain.moderation import Case, Outcome
from domain.parking import Parking
from domain.peers import EdgeJournal
from domain.permissions import Permission
from domain.privacy import Privacy, PrivacyKey, PrivacySettings
from domain.profiles import Profile, ProfilePart
from domain.projections import Action, Intervention
from domain.reenable_requests import ReenableRequest
from domain.relations import Relations
from domain.requests import Request
from domain.rights import Rights
from domain.sessions import Session
from domain.site_promotions import SitePromotion
from domain.staff_notes import StaffNotes
from domain.torrents import Torrent
from domain.usernames import BANNED_NAMES, BannedNames
from domain.users import WAITING_GROUP, User
from domain.warnings import Warnings
from runtime import journal
from runtime.platform import Platform

NOW = datetime.now(UTC)


def write_history(platform: Platform) -> None:
    """Save everything: default data, two users, torrents, requests, cases and sessions, and two announce segments."""
    _save(platform, *default_data())
    users = [_user(platform, name) for name in ("ada", "grace")]
    torrents = [_torrent(platform, user.id, n) for n, user in enumerate(users)]
    for n, user in enumerate(users):
        _session(platform, user)
        _privacy(platform, user)
        _staff_tools(platform, user)
        _relations(platform, user, users[1 - n])
        _profile(platform, user)
        _bans(platform, user)
        _warnings(platform, user)
        _rights(platform, user)
        _api_keys(platform, user)
        _request(platform, user, users[1 - n], torrents[n])
        _case(platform, user, torrents[1 - n])
        _promotions(platform, user, torrents[n])
        _invites(platform, user)
        _erasure(platform, user, f"forgotten-{n}")
        _stranger(platform, n)
        _export(platform, user)
        _achievements(platform, user)
    _catalogue(platform)
    _groups(platform)
    _banned_names(platform)
    _applications(platform)
    _tracker_rules(platform)
    _interventions(platform)
    _segments(platform, users, torrents)
    for user, torrent in zip(users, torrents, strict=True):
        _end(platform, user, torrent)


def _save(platform: Platform, *aggregates: Aggregate, actor: UUID = SYSTEM) -> None:
    platform.store(actor, "seed").save(*aggregates)


def _user(platform: Platform, name: str) -> User:
    user = User.register(uuid4(), name, f"{name}@example.org", WAITING_GROUP)
    claim = Claim.make(uuid4(), "username", user.id)
    _save(platform, user, claim, actor=user.id)
    user.verify_email()
    user.rename(f"{name}-2", "asked for it")
    _email_changes(platform, user)
    user.reset_password()
    user.change_group("elite", "promoted")
    user.disable("a break")
    user.enable("back again")
    user.reset_passkey()
    user.change_password()
    warned = Inactivity.first_warning(user.id, NOW - timedelta(days=113), NOW + timedelta(days=7))
    warned.warn_again(NOW, NOW + timedelta(days=120))
    _save(platform, warned)
    parking = Parking.open(user.id)
    parking.park()
    parking.unpark()
    parking.park()
    request = ReenableRequest.first(user.id, f"{name} is back")
    request.reject("not yet", now=NOW - timedelta(days=8))
    request.file_again(f"{name} is really back", now=NOW)
    request.approve()
    _save(platform, parking, request, actor=user.id)
    feed_key = FeedKey.first_reset(user.id)
    feed_key.reset()
    _save(platform, feed_key, actor=user.id)
    user.enable_two_factor()
    user.replace_recovery_codes()
    user.disable_two_factor()
    user.grant_freeleech(NOW + timedelta(days=1), now=NOW)
    user.end_freeleech(now=NOW)
    for rule in (RatioRule(60, 0), RatioRule()):
        user.hold_to_ratio(rule, frozenset({Permission.LEECH}), 50, 100, now=NOW)
    claim.release()
    claim.retake(user.id)
    _save(platform, user, claim, actor=user.id)
    return user


def _email_changes(platform: Platform, user: User) -> None:
    """One change is cancelled, one undone, one settled."""
    former = user.email
    cancelled, undone, settled = (
        EmailChange.ask(uuid4(), user.id, f"{fate}-{former}", former) for fate in ("never", "once", "soon")
    )
    cancelled.take_back(now=NOW)
    for change in (undone, settled):
        change.confirm()
        user.change_email(change.email)
    undone.take_back(now=NOW)
    user.restore_email(former)
    settled.settle(now=datetime.now(UTC) + UNDO_WITHIN)
    _save(platform, cancelled, undone, settled, actor=user.id)


def _torrent(platform: Platform, uploader_id: UUID, n: int) -> Torrent:
    torrent = Torrent.upload(
        uuid4(),
        Metainfo(
            name=f"name {n}",
            files=(File("a", 700), File("b/c", 300)),
            size=1000,
            piece_length=16384,
            private_added=False,
            info_hash_v1=sha1(str(n).encode()).digest(),
            info_hash_v2=None if n else bytes(range(32)),
            info=b"de",
            piece_layers=None,
        ),
        uploader_id=uploader_id,
        name=f"An Upload {n}",
        description="About it",
        category="movies-hd",
        tags=["drama", f"tag-{n}"],
        anonymous=bool(n),
        metainfo_sha256="00" * 32,
        trusted=False,
    )
    torrent.reject("wrong category")
    torrent.approve(SYSTEM)
    torrent.grant_freeleech(NOW + timedelta(days=1), now=NOW)
    torrent.end_freeleech(now=NOW)
    torrent.promote(Factors(200, 50), None, now=NOW)
    torrent.end_promotion(now=NOW)
    _save(platform, torrent, actor=uploader_id)
    return torrent


def _interventions(platform: Platform) -> None:
    _save(platform, Intervention.make(uuid4(), Action.REBUILD, ["users", "torrents"]))
    _save(platform, Intervention.make(uuid4(), Action.PAST, ["users"], schema="then", upto=7))


def _promotions(platform: Platform, user: User, torrent: Torrent) -> None:
    """The whole site for a while, and one torrent for one user."""
    promotion = SitePromotion.start(uuid4(), Factors(200, 0), NOW + timedelta(days=1), now=NOW)
    promotion.end(now=NOW)
    tokens = FreeleechTokens.open(user.id)
    tokens.grant(3, "for the logo")
    tokens.spend(torrent, now=NOW)
    _save(platform, promotion, tokens)


def _session(platform: Platform, user: User) -> None:
    session = Session.start(uuid4(), user.id)
    session.end("logout")
    _save(platform, session, actor=user.id)


def _privacy(platform: Platform, user: User) -> None:
    privacy = Privacy.open(user.id)
    privacy.choose(PrivacySettings(frozenset({PrivacyKey.LAST_SEEN}), frozenset({PrivacyKey.SEEDING})))
    _save(platform, privacy, actor=user.id)


def _profile(platform: Platform, user: User) -> None:
    """Two pictures: one is removed by the user, one by staff."""
    profile = Profile.open(user.id)
    profile.describe("Archivist", "I *keep* things.")
    profile.choose_avatar("ab" * 32, "cd" * 32, now=NOW)
    profile.remove_avatar()
    profile.choose_avatar("ba" * 32, "dc" * 32, now=NOW)
    profile.clear([ProfilePart.BIO, ProfilePart.AVATAR], "advertising")
    _save(platform, profile, actor=user.id)


def _relations(platform: Platform, user: User, other: User) -> None:
    """Everything begins and ends; then one friend is left."""
    relations = Relations.open(user.id)
    relations.befriend(other.id, "met at a fair")
    relations.befriend(other.id, "met at a trade fair")
    relations.follow(other.id)
    relations.block(other.id)
    relations.unblock(other.id)
    relations.befriend(other.id, "after all")
    _save(platform, relations, actor=user.id)


def _staff_tools(platform: Platform, user: User) -> None:
    """A note, looks, and accounts linked to three more, of which two stay linked."""
    notes = StaffNotes.open(user.id)
    notes.write("shares a flat with another member")
    looks = [Look.take(uuid4(), about, LookAt.BY_EMAIL, "a claim to an account") for about in (user.id, None)]
    first, second, third = (uuid4() for _ in range(3))
    linked = LinkGroup.form(uuid4(), user.id, first, "the same printer")
    linked.join(second, "the same printer, too")
    linked.leave(user.id, "a flatmate")
    parted = LinkGroup.form(uuid4(), user.id, third, "the same name")
    parted.dissolve("a common name")
    _save(platform, notes, *looks, linked, parted)


def _bans(platform: Platform, user: User) -> None:
    """One ban is lifted, one expires, one holds."""
    until = NOW + timedelta(hours=1)
    for kind in (BanKind.ACCOUNT, BanKind.DOWNLOAD, BanKind.UPLOAD):
        ban = Ban.impose(uuid4(), user.id, kind, "shared a key", until, now=NOW)
        claim = Claim.make(ban_claim_id(user.id, kind), "ban", ban.id)
        if kind is BanKind.ACCOUNT:
            ban.lift("it was stolen", now=NOW)
        elif kind is BanKind.DOWNLOAD:
            ban.expire(now=until)
        if ban.ended:
            claim.release()
        _save(platform, ban, claim)


def _warnings(platform: Platform, user: User) -> None:
    """One is lifted, one expires, one counts."""
    warnings, until = Warnings.open(user.id), NOW + timedelta(days=1)
    lifted, _, _ = warning_ids = [uuid4() for _ in range(3)]
    for n, warning_id in enumerate(warning_ids):
        warnings.give(warning_id, "rude", until + timedelta(days=n // 2), case_id=uuid4() if n else None, now=NOW)
    warnings.lift(lifted, "said sorry", now=NOW)
    warnings.expire(now=until)
    _save(platform, warnings)


def _rights(platform: Platform, user: User) -> None:
    """One of each is taken back, one expires, one holds."""
    rights, until = Rights.open(user.id), NOW + timedelta(hours=1)
    for permission in (Permission.INVITE, Permission.UPLOAD_TRUSTED):
        rights.grant(permission, "helps newcomers", until, now=NOW)
    for group in ("designer", "vip"):
        rights.give_group(group, "drew the logo", until, now=NOW)
    rights.withdraw(Permission.INVITE, "a mistake", now=NOW)
    rights.take_group("vip", "a mistake", now=NOW)
    rights.expire(now=until)
    rights.grant(Permission.UPLOAD_TRUSTED, "knows the rules", None, now=NOW)
    rights.deny(Permission.INVITE, "sold one", None, now=NOW)
    rights.give_group("designer", "draws", None, now=NOW)
    for _ in range(2):
        rights.unlock_class("a mistake")
        rights.lock_class("as agreed")
    _save(platform, rights)


def _api_keys(platform: Platform, user: User) -> None:
    for name in ("seedbox", "phone"):
        key = ApiKey.issue(uuid4(), user.id, name, [Scope.READ], NOW if name == "phone" else None)
        if name == "phone":
            key.revoke("revoked")
        _save(platform, key, actor=user.id)


def _request(platform: Platform, requester: User, filler: User, torrent: Torrent) -> None:
    """Two wishes of the requester: one is filled, refused, filled again and accepted; the other is cancelled."""
    bonus, issuance = (_account(platform, kind, requester.id) for kind in (AccountKind.BONUS, AccountKind.ISSUANCE))
    _move(issuance, bonus, 90_000, PostingKind.GRANTED, "grant", requester.id)
    _save(platform, bonus, issuance)
    for accepted in (True, False):
        request = Request.open(uuid4(), requester.id, "A wish", "please", "movies-hd")
        escrow = Account.open(AccountKind.ESCROW, request.id)
        request.add_bounty(requester.id, 5_500)
        _move(bonus, escrow, 5_500, PostingKind.BOUNTY_ESCROWED, "request", request.id)
        _save(platform, request, bonus, escrow, actor=requester.id)
        request.fill(filler.id, torrent)
        request.reject_fill(requester.id, "not this one", staff=False)
        if accepted:
            request.fill(filler.id, torrent)
            request.accept(requester.id, torrent, staff=False)
        else:
            request.cancel(requester.id, staff=False)
        payee = _account(platform, AccountKind.BONUS, filler.id) if accepted else bonus
        kind = PostingKind.BOUNTY_PAID if accepted else PostingKind.BOUNTY_REFUNDED
        _move(escrow, payee, 5_500, kind, "request", request.id)
        _save(platform, request, escrow, payee, actor=requester.id)


def _account(platform: Platform, kind: AccountKind, owner_id: UUID) -> Account:
    return platform.store(SYSTEM).find(Account, account_id(kind, owner_id)) or Account.open(kind, owner_id)


def _move(
    source: Account, target: Account, amount: int, kind: PostingKind, subject_type: str, subject_id: UUID
) -> None:
    transfer(source, target, amount, Cause(kind, subject_type, subject_id), entry_id=uuid4())


def _case(platform: Platform, reporter: User, torrent: Torrent) -> None:
    moderator_id = uuid4()
    case = Case.open(uuid4(), "torrent", torrent.id, torrent.uploader_id)
    case.file_report(uuid4(), reporter.id, "dupe", "seen before")
    case.claim(moderator_id)
    case.comment(moderator_id, "looking")
    case.decide(moderator_id, Outcome.UPHELD, "it is one")
    case.appeal(torrent.uploader_id, "it is not")
    case.decide(moderator_id, Outcome.DISMISSED, "right")
    case.close(moderator_id)
    _save(platform, case, actor=moderator_id)


def _erasure(platform: Platform, staff: User, name: str) -> None:
    """Somebody is proposed, declined, proposed again and forgotten."""
    user = User.register(uuid4(), name, f"{name}@example.org", "member")
    key = ApiKey.issue(uuid4(), user.id, f"key of {name}", [Scope.READ])
    _save(platform, user, key, actor=user.id)
    first, second = (ErasureProposal.make(uuid4(), user.id, staff.id, f"{name} asked by mail", now=NOW) for _ in "12")
    first.decline(f"is this {name}?", now=NOW)
    second.approve(SYSTEM, now=NOW)
    user.erase()
    erasure = Erasure.begin(user.id, second.id)
    erasure.complete()
    _save(platform, first, second, user, erasure, actor=staff.id)


def _stranger(platform: Platform, n: int) -> None:
    """Somebody is not let in, and forgotten in time."""
    filed = Application.file(uuid4(), uuid4(), f"never{n}@example.org", "Let me in, I seed for years. " * 5, [])
    filed.reject("not this time")
    forgotten = Erasure.of_stranger(filed.applicant_id, (NOW - timedelta(days=90),), 90, now=NOW)
    forgotten.complete()
    _save(platform, filed)
    _save(platform, forgotten)


def _export(platform: Platform, user: User) -> None:
    export = Export.open(user.id)
    export.request()
    _save(platform, export, actor=user.id)
    export.built(4711, now=NOW)
    _save(platform, export)


def _catalogue(platform: Platform) -> None:
    """Two achievements of the staff's own, changed and withdrawn."""
    catalogue = platform.store(SYSTEM).get(AchievementCatalogue, CATALOGUE)
    for slug in ("founder", "helper"):
        rule_id = catalogue.define(slug, achievement_rules.Terms("A Badge", "", True, achievement_rules.Criteria()))
        catalogue.change(
            rule_id, achievement_rules.Terms("A Badge", "given by hand", True, achievement_rules.Criteria())
        )
        catalogue.withdraw(rule_id)
    _save(platform, catalogue, AchievementCatalogue.open(uuid4()))


def _achievements(platform: Platform, user: User) -> None:
    """A deed is counted and undone, and with it what it achieved; a badge stays."""
    catalogue = platform.store(SYSTEM).get(AchievementCatalogue, CATALOGUE)
    achievements, fills, deed = Achievements.open(user.id), TorrentFills.open(uuid4()), uuid4()
    achievements.count(Measure.UPLOADS, deed, "an upload was listed", catalogue)
    achievements.uncount(Measure.UPLOADS, deed, "the torrent was deleted", catalogue)
    achievements.award(next(iter(catalogue.rules)), "well done", catalogue)
    fills.note(uuid4(), user.id)
    _save(platform, achievements, fills)


def _groups(platform: Platform) -> None:
    for slug in ("elite", "vip"):
        group = platform.store(SYSTEM).get(Group, group_id(slug))
        group.change_permissions(frozenset(Permission(p) for p in group.permissions) - {Permission.POST})
        group.change_download_slots(10 if slug == "elite" else None)
        group.change_download_slots(20)
        group.rename(f"{group.name} members")
        group.change_level(group.level + 1)
        group.redesignate(True)
        group.change_monthly_invites(1)
        for asked in (Criteria(uploads=1), Criteria(uploaded=10, ratio_percent=105, keep_ratio_percent=95)):
            group.set_criteria(platform.store(SYSTEM).get(Group, group_id("member")), asked)
        group.remove_criteria()
        _save(platform, group)


def _invites(platform: Platform, user: User) -> None:
    """One is accepted, one revoked, one expires, one is on its way."""
    allowance = InviteAllowance.open(user.id)
    allowance.grant(3, "for the logo")
    allowance.credit_month(2, now=NOW)
    terms: dict[str, Any] = {"expires_at": NOW + timedelta(days=1), "inviter_id": user.id, "charged": True}
    invites = [Invite.send(uuid4(), uuid4(), f"{n}@example.org", note="a friend", **terms) for n in range(4)]
    for invite in invites:
        allowance.spend(invite.id)
    accepted, revoked, expired, sent = invites
    accepted.accept("0@example.org", now=NOW)
    revoked.revoke(now=NOW)
    expired.expire(now=NOW + timedelta(days=1))
    sent.send_again(now=NOW)
    allowance.refund(revoked.id)
    _save(platform, allowance, *invites, actor=user.id)


def _applications(platform: Platform) -> None:
    """Two are approved, two rejected, one is open."""
    for n in range(5):
        links = ["https://example.org/profile", "https://example.org/ratio"][:n]
        application = Application.file(uuid4(), uuid4(), f"stranger{n}@example.org", "I seed for years. " * 5, links)
        if n < 2:
            application.approve(uuid4())
        elif n < 4:
            application.reject("tell us more")
        _save(platform, application)


def _banned_names(platform: Platform) -> None:
    """The site's list, and one that nothing asks."""
    for list_id, kept in ((BANNED_NAMES, "*staff*"), (uuid4(), "*bot")):
        names = BannedNames.open(list_id)
        for pattern in (kept, f"{kept}gone"):
            names.ban(pattern, "passes for the site's own")
        names.allow(f"{kept}gone", "nobody would")
        _save(platform, names)


def _tracker_rules(platform: Platform) -> None:
    """A family of clients that stays, a denial and a family that are withdrawn; announce rules that change."""
    exception: dict[str, str | None] = {"peer_id_pattern": "-qB4250-", "agent_pattern": None, "comment": "cheats"}
    family = Terms("qBittorrent", "-qB{x}{x}{x}{x}-", "qBittorrent/{n}.{n}", [4, 2], [4, 2], None, [exception])
    denial = Terms("Thunder", "-XL", None, [], [], "does not share", [])
    for kind, terms, stays in (("allow", family, True), ("deny", denial, False), ("allow", family, False)):
        rule = ClientRule.define(uuid4(), ClientRuleKind(kind), terms)
        rule.change(dataclasses.replace(terms, name=f"{terms.name} 2"))
        if not stays:
            rule.withdraw()
        _save(platform, rule)
    rules = AnnounceRules.lay_down([8080], 3)
    rules.change([8080, 6881], 2)
    _save(platform, rules)


def _segments(platform: Platform, users: list[User], torrents: list[Torrent]) -> None:
    """Two segments of one edge: everybody starts, downloads, completes and seeds everything."""
    previous = journal.GENESIS
    for seq, (step, event) in enumerate([(0, Event.STARTED), (600, Event.COMPLETED), (1200, Event.REGULAR)], start=1):
        at = NOW + timedelta(seconds=step)
        announces = [
            _announce(at, user.id, torrent.id, n, event, transferred=step)
            for n, (user, torrent) in enumerate((u, t) for u in users for t in torrents)
        ]
        # With addresses in clear, as segments were before these were encrypted.
        segment = journal.seal("edge-1", seq, len(announces), at, at, previous, encode(announces))
        previous = segment.sha256
        platform.store(SYSTEM, "edge").record(
            EdgeJournal.SegmentsRecorded,
            EdgeJournal.stream_id("edge-1"),
            beside=_inserting(segment),
            edge_id="edge-1",
            first_seq=seq,
            last_seq=seq,
            announces=len(announces),
            sha256=segment.sha256.hex(),
        )
    for first, last in ((1, 2), (3, 3)):
        platform.store(SYSTEM, "cli").record(
            EdgeJournal.AddressesEncrypted,
            EdgeJournal.encryption_id("edge-1"),
            edge_id="edge-1",
            first_seq=first,
            last_seq=last,
            sha256="00" * 32,
        )


def _inserting(segment: journal.Segment) -> Callable[[Cursor[Any]], None]:
    return lambda cursor: journal.insert(cursor, segment)


def _announce(at: datetime, user_id: UUID, torrent_id: UUID, n: int, event: Event, *, transferred: int) -> Announce:
    return Announce(
        received_at_us=int(at.timestamp() * 1_000_000),
        user_id=user_id.bytes,
        torrent_id=torrent_id.bytes,
        peer_id=b"-LT2110-" + bytes([65 + n]) * 12,
        event=event,
        uploaded=transferred * 3,
        downloaded=min(transferred, 1000),
        left=max(0, 1000 - 2 * transferred),
        address=bytes([203, 0, 113, n + 1]),
        port=6881 + n,
        key=n,
    )


def _end(platform: Platform, user: User, torrent: Torrent) -> None:
    torrent.delete("the end", by=user.id, staff=True, now=NOW)
    _save(platform, torrent, actor=user.id)
