"""What a new site starts with: 13 groups, 28 categories, 7 forums, 5 chat rooms, 4 bonus rules and 53 achievements.

The names are those of the mission's schema document; levels and rights follow Gazelle's and UNIT3D's classes, the
bonus rules' values Gazelle's hourly formula and UNIT3D's defaults, the achievements' thresholds UNIT3D's.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.achievement_rules import AchievementCatalogue, Comparator, Condition, Measure, Terms
from domain.achievement_rules import Criteria as Achieved
from domain.base import Aggregate
from domain.bonus_rules import BonusRule
from domain.categories import Category
from domain.chat import ChatRoom
from domain.forums import Forum
from domain.groups import Group
from domain.ladder import Criteria
from domain.permissions import PERKS
from domain.permissions import Permission as P

GIB = 1024**3

_MEMBER = frozenset({P.LOGIN, P.SEED, P.LEECH, P.UPLOAD, P.POST, P.REQUESTS, P.COLLECTIONS_READ, P.TAGS_VOTE, P.REPORT})
_POWER_USER = _MEMBER | {P.INVITE, P.COLLECTIONS_CREATE}
_ELITE = _POWER_USER | {P.COLLECTIONS_PERSONAL, P.TORRENTS_EDIT_ANY}
_TORRENT_MASTER = _ELITE | {P.UPLOAD_TRUSTED}
_VIP = _POWER_USER | {P.COLLECTIONS_PERSONAL, P.UPLOAD_TRUSTED, P.FREELEECH, P.HIT_AND_RUN_IMMUNE}
_UPLOADER = _POWER_USER | {P.COLLECTIONS_PERSONAL, P.UPLOAD_TRUSTED, P.HIT_AND_RUN_IMMUNE}
_DESIGNER = _POWER_USER | {P.COLLECTIONS_PERSONAL, P.THEMES_EDIT}
_FORUM_MODERATOR = _POWER_USER | {
    P.COLLECTIONS_PERSONAL,
    P.UPLOAD_TRUSTED,
    P.FORUMS_MODERATE,
    P.MODERATION,
    P.USERS_WARN,
    P.USERS_OVERRIDE_PRIVACY,
    P.USERS_EDIT_PROFILES,
    P.USERS_NOTE,
}
_MODERATOR = _FORUM_MODERATOR | {
    P.TORRENTS_EDIT_ANY,
    P.TORRENTS_MODERATE,
    P.TORRENTS_FREELEECH,
    P.REQUESTS_MODERATE,
    P.USERS_DISABLE,
    P.USERS_SEE_PRIVATE,
    P.USERS_SEE_SWARMS,
    P.USERS_SEE_SNATCHES,
    P.USERS_SEE_LAST_SEEN,
    P.USERS_SEE_INVITES,
    P.APPLICATIONS_REVIEW,
    P.AUDIT_READ,
}
_ADMINISTRATOR = _MODERATOR | {
    P.USERS_PROMOTE,
    P.INVITES_GRANT,
    P.USERNAMES_MANAGE,
    P.USERS_ERASE,
    P.USERS_ERASE_APPROVE,
    P.BONUS_GRANT,
    P.GROUPS_MANAGE,
    P.TRACKER_MANAGE,
}

#: slug, name, level, permissions
GROUPS: tuple[tuple[str, str, int, frozenset[P]], ...] = (
    ("banned", "Banned", 0, frozenset()),
    ("validating", "Validating", 10, frozenset({P.LOGIN})),
    ("member", "Member", 100, _MEMBER),
    ("power_user", "Power User", 200, _POWER_USER),
    ("elite", "Elite", 250, _ELITE),
    ("designer", "Designer", 320, _DESIGNER),
    ("torrent_master", "Torrent Master", 400, _TORRENT_MASTER),
    ("vip", "VIP", 600, _VIP),
    ("uploader", "Uploader", 650, _UPLOADER),
    ("forum_moderator", "Forum Moderator", 820, _FORUM_MODERATOR),
    ("moderator", "Moderator", 900, _MODERATOR),
    ("administrator", "Administrator", 980, _ADMINISTRATOR),
    ("sysop", "Sysop", 1000, frozenset(P) - PERKS),
)

#: Those that are given beside another; as the only group they stand where their level says.
SECONDARY_GROUPS = frozenset({"designer"})

#: slug, the group before it, what it asks: Gazelle's table, and the ratio below which it takes a class away.
LADDER: tuple[tuple[str, str, Criteria], ...] = (
    ("power_user", "member", Criteria(25 * GIB, 105, age_days=14, uploads=5, keep_ratio_percent=95)),
    ("elite", "power_user", Criteria(100 * GIB, 105, age_days=28, uploads=50, keep_ratio_percent=95)),
    ("torrent_master", "elite", Criteria(500 * GIB, 105, age_days=56, uploads=500, keep_ratio_percent=95)),
)

#: slug, name, names of subcategories by slug. The schema document names 14 of its 20; the six of games, software and
#: books are ours.
CATEGORIES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "movies",
        "Movies",
        (
            ("movies-hd", "HD"),
            ("movies-sd", "SD"),
            ("movies-uhd", "UHD"),
            ("movies-remux", "Remux"),
            ("movies-bluray", "BluRay"),
            ("movies-dvdr", "DVDR"),
        ),
    ),
    ("tv", "TV Shows", (("tv-hd", "HD"), ("tv-sd", "SD"), ("tv-uhd", "UHD"), ("tv-web-dl", "WEB-DL"))),
    (
        "music",
        "Music",
        (("music-mp3", "MP3"), ("music-flac", "FLAC"), ("music-vinyl", "Vinyl"), ("music-live", "Live")),
    ),
    ("games", "Games", (("games-pc", "PC"), ("games-console", "Console"))),
    ("software", "Software", (("software-desktop", "Desktop"), ("software-mobile", "Mobile"))),
    ("books", "Books", (("books-ebooks", "E-Books"), ("books-audiobooks", "Audiobooks"))),
    ("anime", "Anime", ()),
    ("xxx", "XXX", ()),
)

#: slug, name, description, lowest level that reads, lowest level that writes
FORUMS: tuple[tuple[str, str, str, int, int], ...] = (
    ("announcements", "Announcements", "News from the staff", 100, 980),
    ("general", "General", "Anything about the site", 100, 100),
    ("support", "Support", "Questions and help", 10, 10),
    ("requests", "Requests", "Talk about what is wished for", 100, 100),
    ("off-topic", "Off-Topic", "Anything else", 100, 100),
    ("vip-lounge", "VIP Lounge", "For VIPs and above", 600, 600),
    ("staff", "Staff", "For the staff", 820, 820),
)

#: slug, name, lowest level that enters
ROOMS: tuple[tuple[str, str, int], ...] = (
    ("general", "General", 100),
    ("support", "Support", 10),
    ("trading", "Trading", 100),
    ("vip", "VIP", 600),
    ("staff", "Staff", 820),
)

#: slug, description, operation, terms
BONUS_RULES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "standard_seeding",
        "Every torrent seeded, by size, seed time and scarcity",
        "append",
        ("size_gib * (0.0433 + 0.07 * ln(1 + seed_hours / 24) / max(seeders, 1) ^ 0.35)",),
    ),
    (
        "low_seeder_bonus",
        "Keeping a rare torrent alive",
        "append",
        ("2.0 if seeders = 1 and times_completed >= 3", "1.0 if seeders <= 3"),
    ),
    (
        "large_file_bonus",
        "Seeding what takes much room",
        "append",
        ("0.75 if size_gib >= 100", "0.5 if size_gib >= 25", "0.25 if size_gib >= 1"),
    ),
    ("freeleech_seeding", "Half while the torrent is freeleech", "multiply", ("0.5 if freeleech = 1",)),
)

_HUNDREDS = tuple(range(100, 1000, 100))
#: What is counted, what one such deed and several are called, and how many are an achievement.
ACHIEVEMENTS: tuple[tuple[Measure, str, str, tuple[int, ...]], ...] = (
    (Measure.COMMENTS, "comment", "comments", (1, 10, 50, *_HUNDREDS)),
    (Measure.POSTS, "post", "posts", (1, 25, 50, *_HUNDREDS)),
    (Measure.UPLOADS, "upload", "uploads", (1, 25, 50, *_HUNDREDS)),
    (Measure.SUBTITLES, "subtitle", "subtitles", (1, 25, 50, *_HUNDREDS, 1000)),
    (Measure.REQUESTS_FILLED, "request filled", "requests filled", (25, 50, 75, 100)),
)


def default_data() -> Iterator[Aggregate]:
    """New aggregates for every row above, in an order in which parents come first."""
    yield from _groups()
    for rank, (slug, name, children) in enumerate(CATEGORIES):
        yield Category.define(slug, name, None, rank)
        for child_rank, (child_slug, child_name) in enumerate(children):
            yield Category.define(child_slug, child_name, slug, child_rank)
    for rank, (slug, name, description, read_level, write_level) in enumerate(FORUMS):
        yield Forum.open(slug, name, description, rank, read_level, write_level)
    for rank, (slug, name, level) in enumerate(ROOMS):
        yield ChatRoom.open(slug, name, rank, level)
    for rank, (slug, description, operation, terms) in enumerate(BONUS_RULES):
        yield BonusRule.define(slug, description, rank, operation, list(terms))
    yield _achievements()


def _groups() -> Iterator[Group]:
    groups = {slug: Group.found(slug, name, level, permissions) for slug, name, level, permissions in GROUPS}
    for slug in SECONDARY_GROUPS:
        groups[slug].redesignate(True)
    for slug, before, criteria in LADDER:
        groups[slug].set_criteria(groups[before], criteria)
    yield from groups.values()


def _achievements() -> AchievementCatalogue:
    catalogue = AchievementCatalogue.open()
    for measure, one, several, thresholds in ACHIEVEMENTS:
        for threshold in thresholds:
            name = f"{threshold} {one if threshold == 1 else several}"
            criteria = Achieved(conditions=(Condition(measure, Comparator.AT_LEAST, threshold),))
            slug = f"{measure.replace('_', '-')}-{threshold}"
            catalogue.define(slug, Terms(name, "", False, criteria))
    return catalogue
