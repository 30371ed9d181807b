"""Who is signed in: short-lived access tokens, and sessions that refresh tokens keep alive.

An access token is a JWT (RFC 7519) that says little and dies soon; the session row decides. A refresh token is 32
random bytes of which only the hash is stored; each use replaces it (RFC 9700 section 4.14.2).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import jwt
import msgspec
from cryptography.exceptions import InvalidTag
from psycopg import Connection, Cursor

from domain.errors import DomainError
from runtime.keyring import Sealer
from runtime.store import new_id

ISSUER = "tracker-platform"
AUDIENCE = "api"
#: A signer's clock may run ahead of ours by this much.
IAT_LEEWAY_S = 30
#: However often it is refreshed, a session ends this long after it started.
SESSION_MAX = timedelta(days=90)
#: Rows of ended sessions are kept this long, so that a late reuse of their tokens still tells nothing new.
SESSION_KEEP = timedelta(days=30)

#: `last_used_at` is as exact as this, so that a busy session costs one write a minute.
USE_NOTED_EVERY = timedelta(minutes=1)

#: What PyJWT writes before the claims of each token of ours: {"alg":"HS256","typ":"JWT"}.
HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
_JWT = re.compile(rf"({HEADER}\.([A-Za-z0-9_-]{{1,1024}}))\.([A-Za-z0-9_-]{{43}})", re.ASCII)  # 43: HMAC-SHA-256
_REFRESH = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

_COLUMNS = "t.session_id, t.rotated_at, t.sealed_successor, s.user_id, s.started_at, s.expires_at, s.revoked_at"


class Unauthenticated(DomainError):
    """No token, or one that is not, or no longer, good. Never says which."""

    status: ClassVar[int] = 401

    def __init__(self, detail: str = "sign in first") -> None:
        super().__init__(detail)


class TokenReused(Unauthenticated):
    """A refresh token came back after its grace: two parties hold it, so the session has been ended."""

    code = "unauthenticated"

    def __init__(self, user_id: UUID, session_id: UUID) -> None:
        super().__init__()
        self.user_id = user_id
        self.session_id = session_id


class _Claims(msgspec.Struct, frozen=True):
    """RFC 7519 section 4.1; all of them have to be there, but `nbf`."""

    exp: int
    iat: int
    sub: UUID
    sid: UUID
    jti: str
    aud: str
    iss: str
    typ: str
    nbf: int = 0


_read_claims = msgspec.json.Decoder(_Claims).decode


@dataclass(frozen=True, slots=True)
class Access:
    """What a good access token says."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """What a caller gets at sign-in and at each refresh; `expires_in` is the access token's life in seconds."""

    user_id: UUID
    session_id: UUID
    access_token: str
    refresh_token: str
    expires_in: int


class Tokens:
    """Makes and checks the tokens of one site.

    While a new `secret` takes the place of a `previous` one, what was signed and sealed under that still counts.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        previous: bytes = b"",
        access_s: int = 600,
        session: timedelta = timedelta(days=14),
        grace_s: int = 20,
    ) -> None:
        self._secret = secret
        self._secrets = (secret, previous) if previous else (secret,)
        self._access_s = access_s
        self._session = session
        self._grace = timedelta(seconds=grace_s)
        self._sealers = tuple(Sealer(one, "refresh token successors") for one in self._secrets)

    def access_token(self, user_id: UUID, session_id: UUID, now: datetime) -> str:
        """A signed statement that this user is signed in, good for `access_s` seconds."""
        issued = int(now.timestamp())
        claims = {
            "exp": issued + self._access_s,
            "iat": issued,
            "sub": str(user_id),
            "jti": str(new_id()),
            "aud": AUDIENCE,
            "iss": ISSUER,
            "typ": "access",
            "sid": str(session_id),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(self, token: str, now: datetime) -> Access:
        """What the token says; raises `Unauthenticated`. Whether its session still lives is the database's to say."""
        claims, seconds = self._claims(token), now.timestamp()
        if claims.exp <= seconds or claims.iat > seconds + IAT_LEEWAY_S or claims.nbf > seconds:
            raise Unauthenticated
        if (claims.iss, claims.aud, claims.typ) != (ISSUER, AUDIENCE, "access"):
            raise Unauthenticated
        return Access(claims.sub, claims.sid)

    def _claims(self, token: str) -> _Claims:
        """The claims under a good signature. Only our own header is read, so nothing in a token says how to check it.

        RFC 7515 by hand: each request comes here, and a general library takes five times as long.
        """
        found = _JWT.fullmatch(token)
        if found is None:
            raise Unauthenticated
        signed, payload, signature = (part.encode() for part in found.groups())
        macs = [_base64url(hmac.digest(secret, signed, "sha256")) for secret in self._secrets]
        if not any([hmac.compare_digest(signature, mac) for mac in macs]):
            raise Unauthenticated
        try:
            return _read_claims(urlsafe_b64decode(payload + b"=="))
        except (ValueError, msgspec.MsgspecError):
            raise Unauthenticated from None

    def start_session(
        self,
        db: Connection[Any] | Cursor[Any],
        user_id: UUID,
        now: datetime,
        *,
        session_id: UUID | None = None,
        command_id: UUID | None = None,
    ) -> Pair:
        """Sign a user in; part of the caller's transaction when there is one. `session_id` is new unless given;
        `command_id` is that of the command, if the sign-in is one."""
        session_id, token = session_id or new_id(), secrets.token_urlsafe(32)
        db.execute(
            "INSERT INTO credentials.session (session_id, user_id, started_at, expires_at, last_used_at, command_id)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (session_id, user_id, now, now + self._session, now, command_id),
        )
        _keep_token(db, token, session_id, now)
        return self._pair(user_id, session_id, token, now)

    def rotate(self, connection: Connection[Any], token: str, now: datetime) -> Pair:
        """Exchange a refresh token for its successor; raises `Unauthenticated` or `TokenReused`.

        `connection` is in autocommit mode: the end of a stolen session is kept although the caller is refused.
        """
        if not _REFRESH.fullmatch(token):
            raise Unauthenticated
        with connection.transaction(), connection.cursor() as cursor:
            row = cursor.execute(
                f"SELECT {_COLUMNS} FROM credentials.refresh_token t JOIN credentials.session s USING (session_id)"
                " WHERE t.token_sha = %s FOR UPDATE",
                (_sha(token),),
            ).fetchone()
            if row is None:
                raise Unauthenticated
            session_id, rotated_at, sealed, user_id, started_at, expires_at, revoked_at = row
            if revoked_at is not None or expires_at <= now:
                raise Unauthenticated
            if rotated_at is None:
                expires_at = min(now + self._session, started_at + SESSION_MAX)
                successor = self._succeed(cursor, token, session_id, expires_at, now)
                return self._pair(user_id, session_id, successor, now)
            if now - rotated_at <= self._grace:
                return self._pair(user_id, session_id, self._opened(bytes(sealed)), now)
            end_session(cursor, session_id, now)
        raise TokenReused(user_id, session_id)

    def _succeed(self, db: Cursor[Any], token: str, session_id: UUID, expires_at: datetime, now: datetime) -> str:
        successor = secrets.token_urlsafe(32)
        db.execute(
            "UPDATE credentials.refresh_token SET rotated_at = %s, sealed_successor = %s WHERE token_sha = %s",
            (now, self._sealers[0].seal(successor.encode()), _sha(token)),
        )
        db.execute(
            "UPDATE credentials.session SET expires_at = %s, last_used_at = %s WHERE session_id = %s",
            (expires_at, now, session_id),
        )
        _keep_token(db, successor, session_id, now)
        return successor

    def _opened(self, sealed: bytes) -> str:
        """A successor, sealed under one of the secrets; raises `Unauthenticated` when it is of an older one."""
        for sealer in self._sealers:
            with suppress(InvalidTag):
                return sealer.open(sealed).decode()
        raise Unauthenticated

    def _pair(self, user_id: UUID, session_id: UUID, token: str, now: datetime) -> Pair:
        return Pair(user_id, session_id, self.access_token(user_id, session_id, now), token, self._access_s)


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def session_of(connection: Connection[Any], token: str) -> UUID | None:
    """The session that a refresh token belongs to, for signing out; None when it is unknown."""
    row = connection.execute(
        "SELECT session_id FROM credentials.refresh_token WHERE token_sha = %s", (_sha(token),)
    ).fetchone()
    return row[0] if row else None


def end_session(db: Connection[Any] | Cursor[Any], session_id: UUID, now: datetime) -> bool:
    """End one session: its access tokens are refused from now on. False when it was over."""
    ended = db.execute(
        "UPDATE credentials.session SET revoked_at = %s WHERE session_id = %s AND revoked_at IS NULL", (now, session_id)
    )
    return ended.rowcount > 0


def end_sessions(db: Connection[Any] | Cursor[Any], user_id: UUID, now: datetime, *, but: UUID | None = None) -> int:
    """End every session of a user, except `but`; returns how many."""
    return db.execute(
        "UPDATE credentials.session SET revoked_at = %s"
        " WHERE user_id = %s AND revoked_at IS NULL AND session_id IS DISTINCT FROM %s",
        (now, user_id, but),
    ).rowcount


def note_session_use(db: Connection[Any], session_id: UUID, now: datetime) -> None:
    """Remember that an access token of the session was used, unless another request did within the minute."""
    db.execute(
        "UPDATE credentials.session SET last_used_at = %s"
        " WHERE session_id = %s AND (last_used_at IS NULL OR last_used_at <= %s)",
        (now, session_id, now - USE_NOTED_EVERY),
    )


def forget_ended_sessions(connection: Connection[Any], now: datetime) -> int:
    """Remove what ended long ago; returns how many sessions."""
    return connection.execute(
        "DELETE FROM credentials.session WHERE least(expires_at, coalesce(revoked_at, expires_at)) < %s",
        (now - SESSION_KEEP,),
    ).rowcount


def _keep_token(db: Connection[Any] | Cursor[Any], token: str, session_id: UUID, now: datetime) -> None:
    db.execute(
        "INSERT INTO credentials.refresh_token (token_sha, session_id, issued_at) VALUES (%s, %s, %s)",
        (_sha(token), session_id, now),
    )


def _sha(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
