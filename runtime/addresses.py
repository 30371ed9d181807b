"""From where did callers call? What `es.command_context` says, for as long as it is kept; in clear, so for few eyes."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

Network = IPv4Network | IPv6Network

_SEEN: LiteralString = "host(c.ip) AS ip, min(c.at) AS first_at, max(c.at) AS last_at, count(*) AS commands"
_OF_COMMANDS: LiteralString = "FROM es.command k JOIN es.command_context c USING (command_id)"


class AddressUse(NamedTuple):
    """One address of one user, and how many commands came from it."""

    user_id: UUID
    ip: str
    first_at: datetime
    last_at: datetime
    commands: int


def addresses_of(db: Connection[Any], user_id: UUID, limit: int) -> list[AddressUse]:
    """The user's addresses, the latest first."""
    with db.cursor(row_factory=class_row(AddressUse)) as cursor:
        return cursor.execute(
            f"SELECT k.actor_id AS user_id, {_SEEN} {_OF_COMMANDS} WHERE k.actor_id = %s AND c.ip IS NOT NULL"
            " GROUP BY k.actor_id, c.ip ORDER BY max(c.at) DESC, c.ip LIMIT %s",
            (user_id, limit),
        ).fetchall()


def users_at(db: Connection[Any], network: Network, limit: int) -> list[AddressUse]:
    """Who called from this address or network, the latest first."""
    with db.cursor(row_factory=class_row(AddressUse)) as cursor:
        return cursor.execute(
            f"SELECT k.actor_id AS user_id, {_SEEN} {_OF_COMMANDS} WHERE c.ip <<= %s::inet"
            " GROUP BY k.actor_id, c.ip ORDER BY max(c.at) DESC, k.actor_id, c.ip LIMIT %s",
            (str(network), limit),
        ).fetchall()


def sharing_with(db: Connection[Any], user_id: UUID, limit: int) -> list[AddressUse]:
    """Who else called from addresses of this user, the latest first."""
    with db.cursor(row_factory=class_row(AddressUse)) as cursor:
        return cursor.execute(
            "WITH own AS MATERIALIZED (SELECT DISTINCT c.ip FROM es.command k JOIN es.command_context c"
            " USING (command_id) WHERE k.actor_id = %(user)s AND c.ip IS NOT NULL)"
            f" SELECT k.actor_id AS user_id, {_SEEN} FROM own JOIN es.command_context c USING (ip)"
            " JOIN es.command k USING (command_id) WHERE k.actor_id <> %(user)s"
            " GROUP BY k.actor_id, c.ip ORDER BY max(c.at) DESC, k.actor_id, c.ip LIMIT %(limit)s",
            {"user": user_id, "limit": limit},
        ).fetchall()
