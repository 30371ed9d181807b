"""The one vocabulary of rights, used by routes, the edge, the console and the command line alike."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """A right that a group grants. The value is stored in events and shown by the API."""

    LOGIN = "site.login"
    SEED = "announce.seed"
    LEECH = "announce.leech"
    FREELEECH = "announce.freeleech"  # downloads are recorded, not charged
    DOUBLE_UPLOAD = "announce.double_upload"  # uploads count twice
    HIT_AND_RUN_IMMUNE = "announce.hit_and_run_immune"
    UPLOAD = "torrents.upload"
    UPLOAD_TRUSTED = "torrents.upload_trusted"  # approved without the queue
    TORRENTS_EDIT_ANY = "torrents.edit_any"
    TORRENTS_MODERATE = "torrents.moderate"
    TORRENTS_FREELEECH = "torrents.freeleech"
    TAGS_VOTE = "tags.vote"
    POST = "community.post"
    FORUMS_MODERATE = "forums.moderate"
    REQUESTS = "requests.open"
    REQUESTS_MODERATE = "requests.moderate"
    INVITE = "invites.send"
    INVITES_GRANT = "invites.grant"  # give them to members, send them without having any
    APPLICATIONS_REVIEW = "applications.review"
    COLLECTIONS_READ = "collections.read"
    COLLECTIONS_CREATE = "collections.create"
    COLLECTIONS_PERSONAL = "collections.personal"
    REPORT = "reports.file"
    MODERATION = "moderation.handle"
    USERS_WARN = "users.warn"
    USERS_DISABLE = "users.disable"
    USERS_SEE_PRIVATE = "users.see_private"  # addresses, e-mail
    USERS_OVERRIDE_PRIVACY = "users.override_privacy"  # every value that its user hides
    USERS_SEE_SWARMS = "users.see_swarms"  # hidden lists of uploads, of what is seeded and what is leeched
    USERS_SEE_SNATCHES = "users.see_snatches"
    USERS_SEE_LAST_SEEN = "users.see_last_seen"
    USERS_SEE_INVITES = "users.see_invites"
    USERS_ERASE = "users.erase"  # propose that somebody is forgotten
    USERS_ERASE_APPROVE = "users.erase_approve"  # approve what somebody else proposed
    USERS_NOTE = "users.note"  # write and read notes on users
    USERS_EDIT_PROFILES = "users.edit_profiles"  # take away titles, texts and pictures
    USERS_PROMOTE = "users.promote"
    USERNAMES_MANAGE = "usernames.manage"  # rename others, ban names
    BONUS_GRANT = "bonus.grant"
    AUDIT_READ = "audit.read"
    GROUPS_MANAGE = "groups.manage"
    TRACKER_MANAGE = "tracker.manage"  # client and announce rules
    THEMES_EDIT = "themes.edit"
    SITE_MANAGE = "site.manage"


#: What a group gets rather than what it may do: nobody needs one to give it away, and the staff does not live on them.
PERKS = frozenset({Permission.FREELEECH, Permission.DOUBLE_UPLOAD, Permission.HIT_AND_RUN_IMMUNE})
