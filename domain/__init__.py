"""The rules of the site, pure. Importing this package imports every aggregate, so that every stored topic resolves:
the one deliberate import for its effect."""

from __future__ import annotations

from collections.abc import Iterator

from domain.achievement_rules import AchievementCatalogue
from domain.achievements import Achievements, TorrentFills
from domain.announce_rules import AnnounceRules
from domain.api_keys import ApiKey
from domain.applications import Application
from domain.bans import Ban
from domain.base import Aggregate
from domain.bonus import Account
from domain.bonus_rules import BonusRule
from domain.categories import Category
from domain.chat import ChatRoom
from domain.claims import Claim
from domain.client_rules import ClientRule
from domain.emails import EmailChange
from domain.erasures import Erasure, ErasureProposal
from domain.exports import Export
from domain.feed_keys import FeedKey
from domain.forums import Forum
from domain.freeleech_tokens import FreeleechTokens
from domain.groups import Group
from domain.inactivity import Inactivity
from domain.invites import Invite, InviteAllowance
from domain.linked_accounts import LinkGroup
from domain.looks import Look
from domain.moderation import Case
from domain.parking import Parking
from domain.peers import EdgeJournal
from domain.privacy import Privacy
from domain.profiles import Profile
from domain.projections import Intervention
from domain.reenable_requests import ReenableRequest
from domain.relations import Relations
from domain.requests import Request
from domain.rights import Rights
from domain.sessions import Session
from domain.site_promotions import SitePromotion
from domain.staff_notes import StaffNotes
from domain.torrents import Torrent
from domain.usernames import BannedNames
from domain.users import User
from domain.warnings import Warnings

AGGREGATES: tuple[type[Aggregate], ...] = (
    Account,
    AchievementCatalogue,
    Achievements,
    AnnounceRules,
    ApiKey,
    Application,
    Ban,
    BannedNames,
    BonusRule,
    Case,
    Category,
    ChatRoom,
    Claim,
    ClientRule,
    EdgeJournal,
    EmailChange,
    Erasure,
    ErasureProposal,
    Export,
    FeedKey,
    Forum,
    FreeleechTokens,
    Group,
    Intervention,
    Inactivity,
    Invite,
    InviteAllowance,
    LinkGroup,
    Look,
    Parking,
    Privacy,
    Profile,
    Relations,
    ReenableRequest,
    Request,
    Rights,
    Session,
    SitePromotion,
    StaffNotes,
    Torrent,
    TorrentFills,
    User,
    Warnings,
)


def _events(aggregate: type[Aggregate]) -> Iterator[type[Aggregate.Event]]:
    for member in vars(aggregate).values():
        if isinstance(member, type) and issubclass(member, Aggregate.Event) and hasattr(member, "TOPIC"):
            yield member


#: Every event class of the site.
EVENTS: tuple[type[Aggregate.Event], ...] = tuple(kind for a in AGGREGATES for kind in _events(a))
