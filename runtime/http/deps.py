"""What routes ask for in their signatures: the caller, the store, a read connection, the time, settings."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, LiteralString
from uuid import UUID, uuid5

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg import Connection

from domain.errors import Malformed, NotAllowed
from runtime import api_keys
from runtime.freshness import ProjectionBehind
from runtime.http.addresses import client_address
from runtime.http.body import QuestionRoute
from runtime.http.types import Id
from runtime.platform import Platform
from runtime.recorder import Metadata
from runtime.secrets import Secrets
from runtime.settings import Settings
from runtime.store import NOBODY, AlreadyDone, Store, new_id
from runtime.tokens import USE_NOTED_EVERY, Unauthenticated, note_session_use

USER_AGENT_MAX = 200
#: Namespace of the command ids of callers without an account.
ANONYMOUS = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b02")
_VERSION = re.compile(r'("?)([1-9][0-9]{0,8})\1', re.ASCII)


class BadIfMatch(Malformed):
    """If-Match holds something else than one version."""


class AccountDisabled(NotAllowed):
    """The caller's account is disabled."""


class AccountBanned(NotAllowed):
    """The caller's account is banned."""


class NotPermitted(NotAllowed):
    """The caller does not have the permission that this needs."""


class Banned(NotAllowed):
    """A ban takes the permission that this needs from the caller."""


class InsufficientScope(NotAllowed):
    """The API key does not reach this far (RFC 6750 section 3.1)."""


class SignInRequired(NotAllowed):
    """This concerns the security of the account: for who signed in, not for an API key."""


#: Who is banned from this is banned from everything.
LOGIN = "site.login"
READING = frozenset({"GET", "HEAD"})


class RightsUnknown(ProjectionBehind):
    """Nobody could tell for a while what callers may do: a follower has stopped. What needs a right has to wait."""

    retry_after_s: ClassVar[int] = 30


@dataclass(frozen=True)
class Caller:
    """Who is asking. `permissions` are all that hold now, without what bans take, which is `banned_from`; none where
    that is not known, which is not the same as a refusal: then `can` raises `RightsUnknown`.

    `enabled` is false for accounts that are still being validated. `session_id` is the key's id for an API key, whose
    `scopes` are null for a session.
    """

    user_id: UUID
    username: str
    group: str
    level: int
    permissions: frozenset[str]
    session_id: UUID
    enabled: bool
    banned_from: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None
    rights_known: bool = True

    def can(self, permission: str) -> bool:
        """Raises `RightsUnknown`."""
        if not self.rights_known:
            self.must_be_known()
        return permission in self.permissions

    def must_be_known(self) -> None:
        """Raises `RightsUnknown`."""
        if not self.rights_known:
            raise RightsUnknown("what you may do cannot be checked at the moment, try again later")


_bearer = HTTPBearer(auto_error=False, description="an access token, or an API key")


# What only looks something up is `async`: a synchronous dependency costs a turn through the thread pool.


async def platform(request: Request) -> Platform:
    found: Platform = request.app.state.platform
    return found


PlatformDep = Annotated[Platform, Depends(platform)]


async def settings(platform: PlatformDep) -> Settings:
    return platform.settings


async def secrets(platform: PlatformDep) -> Secrets:
    return platform.secrets


async def utc_now() -> datetime:
    return datetime.now(UTC)


SettingsDep = Annotated[Settings, Depends(settings)]
SecretsDep = Annotated[Secrets, Depends(secrets)]
Clock = Annotated[datetime, Depends(utc_now)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


#: One query says whether the credential `c` is good and what its user may do: what its groups and its own rights grant
#: without what those deny, and what bans take. Each holds until its time, whether or not its end was recorded.
_ACCOUNT: LiteralString = (
    "a.username, g.slug, g.level, ARRAY((SELECT unnest(g.permissions)"
    " UNION SELECT unnest(s.permissions) FROM read.secondary_membership m JOIN read.user_group s"
    "  ON s.slug = m.group_slug WHERE m.user_id = c.user_id AND (m.until IS NULL OR m.until > %(now)s)"
    " UNION SELECT e.permission FROM read.permission_exception e"
    "  WHERE e.user_id = c.user_id AND e.granted AND (e.until IS NULL OR e.until > %(now)s))"
    " EXCEPT SELECT e.permission FROM read.permission_exception e"
    "  WHERE e.user_id = c.user_id AND NOT e.granted AND (e.until IS NULL OR e.until > %(now)s)),"
    " a.state, ARRAY(SELECT unnest(b.takes) FROM read.ban b"
    " WHERE b.user_id = c.user_id AND b.state = 'active' AND (b.until IS NULL OR b.until > %(now)s))"
)
_OF_USER: LiteralString = (
    "LEFT JOIN read.account a ON a.user_id = c.user_id LEFT JOIN read.user_group g ON g.slug = a.group_slug"
)


def caller(request: Request, platform: PlatformDep, now: Clock, bearer: Bearer) -> Caller:
    """Whoever holds the access token or the API key.

    Raises `Unauthenticated`, `InsufficientScope`, `AccountDisabled`, `AccountBanned`, `NotPermitted` or
    `ProjectionBehind`.
    """
    if bearer is None:
        raise Unauthenticated
    if bearer.credentials.startswith(api_keys.PREFIX):
        return _key_holder(request, platform, bearer.credentials, now)
    access = platform.tokens.verify(bearer.credentials, now)
    with platform.pool.connection() as connection:
        platform.rights.refresh(connection)
        row = connection.execute(
            f"SELECT {_ACCOUNT}, c.last_used_at FROM credentials.session c {_OF_USER} WHERE c.session_id = %(session)s"
            " AND c.user_id = %(user)s AND c.revoked_at IS NULL AND c.expires_at > %(now)s",
            {"session": access.session_id, "user": access.user_id, "now": now},
            prepare=True,
        ).fetchone()
        if row is None:
            raise Unauthenticated
        *account, last_used_at = row
        if last_used_at is None or last_used_at <= now - USE_NOTED_EVERY:
            note_session_use(connection, access.session_id, now)
    return _caller(platform, access.user_id, access.session_id, account)


def _key_holder(request: Request, platform: Platform, key: str, now: datetime) -> Caller:
    with platform.pool.connection() as connection:
        platform.rights.refresh(connection)
        row = connection.execute(
            f"SELECT {_ACCOUNT}, c.key_id, c.user_id, c.scopes, c.last_used_at FROM credentials.api_key c {_OF_USER}"
            " WHERE c.key_sha = %(sha)s AND (c.expires_at IS NULL OR c.expires_at > %(now)s)",
            {"sha": api_keys.key_sha(key), "now": now},
            prepare=True,
        ).fetchone()
        if row is None:
            raise Unauthenticated
        *account, key_id, user_id, scopes, last_used_at = row
        # Not in the transaction of the query that follows: that one is read-only.
        if last_used_at is None or last_used_at <= now - api_keys.USE_NOTED_EVERY:
            api_keys.note_use(connection, key_id, now)
    found = _caller(platform, user_id, key_id, account, frozenset(scopes))
    if not _reaches(scopes, request):
        raise InsufficientScope("this API key does not reach so far")
    return found


def account_of(platform: Platform, user_id: UUID, now: datetime, scopes: frozenset[str]) -> Caller:
    """The user, who has proved itself by a key that reaches as far as `scopes`; raises as `caller` does."""
    with platform.pool.connection() as connection:
        platform.rights.refresh(connection)
        row = connection.execute(
            f"SELECT {_ACCOUNT} FROM (SELECT %(user)s::uuid AS user_id) c {_OF_USER}", {"user": user_id, "now": now}
        ).fetchone()
    assert row is not None
    return _caller(platform, user_id, user_id, row, scopes)


def _reaches(scopes: Sequence[str], request: Request) -> bool:
    """`write` reaches everywhere, `read` as far as reading goes, and the name of a section (its tag) all of that."""
    route = request.scope.get("route")
    reading = (request.method in READING or isinstance(route, QuestionRoute)) and "read" in scopes
    return "write" in scopes or reading or not set(scopes).isdisjoint(getattr(route, "tags", ()))


def _caller(
    platform: Platform, user_id: UUID, session_id: UUID, account: Sequence[Any], scopes: frozenset[str] | None = None
) -> Caller:
    username, group, level, granted, state, taken = account
    if username is None or group is None:  # signed in within milliseconds of registering
        raise ProjectionBehind("this account is being prepared, try again")
    if state == "disabled":
        raise AccountDisabled("this account is disabled")
    if LOGIN in taken:
        raise AccountBanned("this account is banned")
    banned_from = frozenset(taken)
    known = platform.rights.is_good
    permissions = frozenset(granted) - banned_from if known else frozenset[str]()
    if known and LOGIN not in permissions:
        raise NotPermitted("your group may not come in")
    enabled = state == "enabled"
    return Caller(user_id, username, group, level, permissions, session_id, enabled, banned_from, scopes, known)


Member = Annotated[Caller, Depends(caller)]
CallerDep = Member


async def confirmed(caller: Member) -> Caller:
    """The caller, whose account waits for no confirmation; else 403 `not_permitted`."""
    must_be_confirmed(caller)
    return caller


def must_be_confirmed(caller: Caller) -> None:
    """Raises `NotPermitted` or `RightsUnknown`."""
    caller.must_be_known()
    if not caller.enabled:
        raise NotPermitted("confirm your address first")


Confirmed = Annotated[Caller, Depends(confirmed)]


async def account_owner(caller: Member) -> Caller:
    """The caller, who signed in; raises `SignInRequired` for an API key."""
    if caller.scopes is not None:
        raise SignInRequired("an API key may not do this: sign in")
    return caller


AccountOwner = Annotated[Caller, Depends(account_owner)]


@dataclass(frozen=True)
class Permitted:
    """The caller, who has this permission; else 403 `not_permitted`."""

    permission: str

    async def __call__(self, caller: Member) -> Caller:
        if caller.can(self.permission):
            return caller
        if self.permission in caller.banned_from:
            raise Banned("a ban keeps you from this")
        raise NotPermitted("your group may not do this")


def Requires(permission: str) -> Any:
    """`Permitted` as a dependency, for the signatures of routes."""
    return Depends(Permitted(permission))


@dataclass(frozen=True)
class CommandHeaders:
    """What the headers of a command say besides who sends it."""

    idempotency_key: UUID | None
    expected_version: int | None
    user_agent: str | None


async def command_headers(
    idempotency_key: Annotated[Id | None, Header(description="a repeat gets the first answer")] = None,
    if_match: Annotated[str | None, Header(description="the version that the caller looks at")] = None,
    user_agent: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> CommandHeaders:
    """The dependency behind `StoreDep`; raises `BadIfMatch`."""
    version = _VERSION.fullmatch(if_match) if if_match is not None else None
    if if_match is not None and version is None:
        raise BadIfMatch("If-Match is one version, as in If-Match: 7")
    return CommandHeaders(idempotency_key, int(version[2]) if version else None, user_agent)


Headers = Annotated[CommandHeaders, Depends(command_headers)]


def store(request: Request, platform: PlatformDep, caller: Member, headers: Headers) -> Store:
    """The caller's store; raises `AlreadyDone` when this command was carried out before."""
    return _store(request, platform, headers, caller.user_id, caller.user_id)


def anonymous_store(request: Request, platform: PlatformDep, headers: Headers) -> Store:
    """A store that saves nothing before `acting_as` has named an actor."""
    return _store(request, platform, headers, NOBODY, ANONYMOUS)


def _store(request: Request, platform: Platform, headers: CommandHeaders, actor_id: UUID, namespace: UUID) -> Store:
    key = headers.idempotency_key
    command_id = new_id() if key is None else uuid5(namespace, str(key))
    metadata = Metadata(
        command_id=command_id,
        actor_id=actor_id,
        origin="api",
        correlation_id=command_id,
        causation_id=command_id,
        # Bodies hold passwords, and a plain hash of one would let its reader try passwords at full speed.
        request_sha=hmac.digest(platform.site_key("request hashes"), request.state.request_sha, "sha256"),
        ip=client_address(request, platform.settings.server.trusted_proxies),
        user_agent=headers.user_agent and headers.user_agent[:USER_AGENT_MAX].replace("\0", ""),
    )
    if key is not None and (reply := platform.history.reply(metadata)) is not None:
        raise AlreadyDone(reply)
    return Store(platform.history, metadata, platform.wake, headers.expected_version)


StoreDep = Annotated[Store, Depends(store)]
AnonymousStore = Annotated[Store, Depends(anonymous_store)]


def read_db(platform: PlatformDep) -> Iterator[Connection[Any]]:
    """A connection that sees the read tables and the log, and can change nothing."""
    with platform.query_pool.connection() as connection, connection.transaction():
        yield connection


def credentials_db(platform: PlatformDep) -> Iterator[Connection[Any]]:
    """As `read_db`, for what somebody is shown of sessions, keys and devices: it sees what proves identities, too."""
    with platform.pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY; SET LOCAL search_path = read")
        yield connection


ReadDb = Annotated[Connection[Any], Depends(read_db)]
CredentialsDb = Annotated[Connection[Any], Depends(credentials_db)]
