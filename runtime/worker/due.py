"""What falls due, of one ban, invite or person at a time: its record is made once, however many workers look."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import structlog

from commands.bans import expire_ban
from commands.emails import settle_email_change
from commands.erasures import forget_stranger, go_on_erasing
from commands.exports import finish_export
from commands.invites import expire_invite
from commands.rights import expire_rights
from commands.warnings import expire_warnings
from domain.base import SYSTEM
from domain.erasures import StillKept
from queries.bans import due_bans
from queries.emails import settling_changes
from queries.erasures import due_erasures, due_strangers, last_completed
from queries.exports import archive_of, due_exports
from queries.invites import due_invites
from queries.rights import due_rights
from queries.warnings import due_warnings
from runtime.archives import forget_archives
from runtime.keyring import KeyDestroyed
from runtime.platform import Platform
from runtime.rebuild.forgotten import drop_standbys
from runtime.store import AlreadyDone, VersionConflict, unbound_metadata

EXPIRED_AT_ONCE = 500
SETTLED_AT_ONCE = 500
ERASED_AT_ONCE = 50
EXPORTED_AT_ONCE = 5

# Namespaces of the commands: one per what is named, however many workers look.
#: A ban's end, per ban.
EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b03")
#: The end of rights, per user and what ended.
RIGHTS_EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b70")
#: The end of warnings, per user and the first that is over.
WARNING_EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9c11")
#: An invite's end, per invite.
INVITE_EXPIRY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b51")
#: A settled change of an address, per change.
SETTLING = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b50")
#: The end of what is kept of somebody without an account, per person.
RETENTION = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b06")
#: A completed erasure, per person.
ERASURE = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b05")

log = structlog.get_logger()


def expire_bans(platform: Platform, now: datetime) -> None:
    """Record of every ban whose time is over that it is."""
    with platform.pool.connection() as connection:
        due = due_bans(connection, now, EXPIRED_AT_ONCE)
    for ban_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(EXPIRY, str(ban_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_ban(platform.store(SYSTEM, metadata=metadata), ban_id, now)


def expire_all_rights(platform: Platform, now: datetime) -> None:
    """Record of every grant, denial and secondary group whose time is over that it is."""
    with platform.pool.connection() as connection:
        due = due_rights(connection, now, EXPIRED_AT_ONCE)
    for user_id, position in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(RIGHTS_EXPIRY, f"{user_id}:{position}"))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_rights(platform.store(SYSTEM, metadata=metadata), user_id, now)


def expire_all_warnings(platform: Platform, now: datetime) -> None:
    """Record of every warning whose time is over that it is."""
    with platform.pool.connection() as connection:
        due = due_warnings(connection, now, EXPIRED_AT_ONCE)
    for user_id, warning_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(WARNING_EXPIRY, str(warning_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_warnings(platform.store(SYSTEM, metadata=metadata), user_id, now)


def expire_invites(platform: Platform, now: datetime) -> None:
    """Record of every invite whose time is over that it is, and give it back to its sender."""
    with platform.pool.connection() as connection:
        due = due_invites(connection, now, EXPIRED_AT_ONCE)
    for invite_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(INVITE_EXPIRY, str(invite_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            expire_invite(platform.store(SYSTEM, metadata=metadata), platform.secrets.site, invite_id, now)


def settle_emails(platform: Platform, now: datetime) -> None:
    """Free the former addresses whose changes can no longer be undone."""
    with platform.pool.connection() as connection:
        due = settling_changes(connection, now, SETTLED_AT_ONCE)
    for change_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(SETTLING, str(change_id)))
        with suppress(AlreadyDone, VersionConflict):  # another worker was faster
            settle_email_change(platform.store(SYSTEM, metadata=metadata), platform.secrets.site, change_id, now)


def erase_persons(platform: Platform, now: datetime) -> None:
    """Go on with every erasure that is not complete; one that fails keeps no other one waiting."""
    with platform.pool.connection() as connection:
        due = due_erasures(connection, ERASED_AT_ONCE)
        completed = last_completed(connection)
    for user_id in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(ERASURE, str(user_id)))
        try:
            with suppress(AlreadyDone, VersionConflict):  # another worker was faster
                go_on_erasing(platform, platform.store(SYSTEM, metadata=metadata), user_id)
        except Exception:
            log.exception("erasure_failed", user_id=str(user_id))
    with platform.projector_pool.connection() as connection:
        drop_standbys(connection, completed)


def forget_strangers(platform: Platform, now: datetime) -> None:
    """Begin to forget everybody whose applications and invites came to nothing, as long ago as the settings say."""
    kept_days = platform.settings.security.keep_strangers_days
    with platform.pool.connection() as connection:
        due = due_strangers(connection, now - timedelta(days=kept_days), ERASED_AT_ONCE)
    for user_id, applications, invites in due:
        metadata = unbound_metadata(SYSTEM, "policy", uuid5(RETENTION, str(user_id)))
        with suppress(AlreadyDone, VersionConflict, StillKept):  # done, or not due after all
            forget_stranger(platform.store(SYSTEM, metadata=metadata), user_id, applications, invites, kept_days, now)


def build_exports(platform: Platform, now: datetime) -> None:
    """Put together the archives that somebody waits for, and delete those whose time is over."""
    with platform.pool.connection() as connection:
        due = due_exports(connection, EXPORTED_AT_ONCE)
        forget_archives(connection, now)
    for user_id in due:
        archive = archive_of(platform, user_id, now)
        with suppress(VersionConflict, KeyDestroyed):  # another worker was faster, or the person is erased
            finish_export(platform, platform.store(SYSTEM, "policy"), user_id, archive, now)
