"""Which accounts has nobody used for a long time?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row


class Unused(NamedTuple):
    """An enabled account and when it was last used; `parked` by its owner or not."""

    user_id: UUID
    last_seen: datetime
    parked: bool


def unused_accounts(
    db: Connection[Any], before: datetime, exempt_level: int, limit: int, after: UUID | None = None
) -> list[Unused]:
    """At most `limit` accounts, by id, after that one, that have not been used since `before`: by a sign-in, a session
    or key that goes on, or an announce. Groups of that level and above are exempt."""
    with db.cursor(row_factory=class_row(Unused)) as cursor:
        return cursor.execute(
            "SELECT u.user_id, u.last_seen, u.parked FROM ("
            "  SELECT a.user_id, EXISTS (SELECT FROM read.parked_account p WHERE p.user_id = a.user_id) AS parked,"
            "  greatest(a.registered_at,"
            "   (SELECT s.at FROM read.last_sign_in s WHERE s.user_id = a.user_id),"
            "   (SELECT max(c.last_used_at) FROM credentials.session c WHERE c.user_id = a.user_id),"
            "   (SELECT max(k.last_used_at) FROM credentials.api_key k WHERE k.user_id = a.user_id),"
            "   (SELECT max(p.last_announced_at) FROM read.peer p WHERE p.user_id = a.user_id)) AS last_seen"
            "  FROM read.account a JOIN read.user_group g ON g.slug = a.group_slug"
            "  WHERE a.state = 'enabled' AND a.registered_at < %(before)s AND g.level < %(exempt)s"
            "  AND (%(after)s::uuid IS NULL OR a.user_id > %(after)s)"
            ") u WHERE u.last_seen < %(before)s ORDER BY u.user_id LIMIT %(limit)s",
            {"before": before, "exempt": exempt_level, "limit": limit, "after": after},
        ).fetchall()
