"""The roles of the database, each with what its processes need (migrations 0001 and 0102), and who logs in as which.

`tests/runtime/test_roles.py` holds what each of them may do. The owner, who migrates and restores, has no name of ours.
"""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runtime.settings import Settings

APP_ROLE = "tracker_app"  # commands, credentials, keys; the edge's segments
PROJECTOR_ROLE = "tracker_projector"  # followers and rebuilds: owns the read tables
QUERY_ROLE = "tracker_query"  # what callers are shown
AUDIT_ROLE = "tracker_audit"  # `tracker audit`, exports for analysts
BACKUP_ROLE = "tracker_backup"  # `tracker backup create`


def role_url(settings: Settings, role: str) -> str:
    """Where and as whom `role` logs in to the site's database: the URL of its own or that of the application."""
    database = settings.database
    own = {
        PROJECTOR_ROLE: database.projector_url,
        QUERY_ROLE: database.query_url,
        AUDIT_ROLE: database.audit_url,
        BACKUP_ROLE: database.backup_url,
    }
    return own.get(role) or renamed(database.url, role)


def renamed(url: str, role: str) -> str:
    """The same server and password for another role. A URL that logs in as the application's role may not take on
    another one, so it logs in as that role; any other (an owner's) may take on every one."""
    if conninfo_to_dict(url).get("user") != APP_ROLE:
        return url
    return make_conninfo(url, user=role)
