"""Which API keys a user has made; the keys' hashes and their last use are in the credentials store."""

from __future__ import annotations

from domain.api_keys import ApiKey
from domain.base import ERASED
from domain.erasures import Erasure
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

api_keys = Projection("api_keys", "api_key")


@api_keys.on(ApiKey.Issued)
def issued(fact: Fact[ApiKey.Issued], db: Writer) -> None:
    db.execute(
        "INSERT INTO api_key (key_id, user_id, name, scopes, created_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s)",
        (fact.stream_id, fact.event.user_id, fact.event.name, fact.event.scopes, fact.at, fact.event.expires_at),
    )


@api_keys.on(ApiKey.Revoked)
def revoked(fact: Fact[ApiKey.Revoked], db: Writer) -> None:
    db.update(
        "UPDATE api_key SET revoked_at = %s, revoke_reason = %s WHERE key_id = %s",
        (fact.at, fact.event.reason, fact.stream_id),
    )


@api_keys.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    db.execute("UPDATE api_key SET name = %s WHERE user_id = %s", (ERASED, fact.event.user_id))
