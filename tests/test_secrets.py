"""Secrets turn up nowhere but where they belong: forty of them are planted, used, and looked for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import pyotp
import pytest
from httpx import Response
from prometheus_client import REGISTRY, generate_latest
from redis import Redis

import domain
from commands.default_data import seed
from commands.policies import POLICIES
from domain.base import SYSTEM
from projections import ALL
from runtime.api import create_app
from runtime.platform import Platform
from runtime.settings import Settings
from tests.conftest import SECRETS
from tests.given import projected
from tests.in_process import TestClient
from tests.mailbox import links, mails

pytestmark = pytest.mark.engine

DATABASE_PASSWORD = "database-pw-7f3a91c2"


class Visitor:
    """One member who does everything that has to do with secrets; `planted` has each of them by what it is."""

    def __init__(self, platform: Platform, api: TestClient) -> None:
        self._platform = platform
        self._api = api
        self.refusals: list[Response] = []
        self.planted: dict[str, str] = {"database password": DATABASE_PASSWORD}
        self.headers: dict[str, str] = {}

    def plant(self, what: str, secret: str) -> str:
        self.planted[f"{what} {len(self.planted)}"] = secret
        return secret

    def send(
        self, method: str, path: str, body: Any = None, expect: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        projected(self._platform, *ALL)
        sent = {} if body is None else {"json": body}
        answer = self._api.request(method, path, headers=self.headers | (headers or {}), **sent)
        assert answer.status_code == expect, f"{path}: {answer.text}"
        if answer.status_code >= 400:
            self.refusals.append(answer)
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer

    def post(self, path: str, body: Any = None, expect: int = 200, **headers: str) -> Any:
        return self.send("POST", f"/api/v1{path}", body, expect, headers)

    def post_once(self, path: str, body: Any = None, expect: int = 200) -> Any:
        """With an Idempotency-Key, by which the answer is kept."""
        return self.send("POST", f"/api/v1{path}", body, expect, {"Idempotency-Key": str(uuid4())})

    def get(self, path: str, expect: int = 200, **headers: str) -> Any:
        return self.send("GET", f"/api/v1{path}", None, expect, headers)

    def tokens(self, answer: Any) -> Any:
        """The pair, both halves planted; further requests use it."""
        for half in ("access_token", "refresh_token"):
            self.plant(half, answer[half])
        self.headers = {"Authorization": f"Bearer {answer['access_token']}"}
        return answer


def walk(visitor: Visitor, platform: Platform) -> None:
    """Every flow with a secret in it, done right and done wrong."""
    password = visitor.plant("password", f"first-{uuid4()}")
    body = {"username": "alice", "email": "alice@example.org", "password": password}
    visitor.post("/auth/register", body | {"invite": visitor.plant("invite", f"inv-{uuid4()}")}, 422)
    visitor.post("/auth/register", body, 201)
    confirm(visitor, platform)
    sign_in(visitor, password)
    second_factor(visitor, password)
    password = change_password(visitor, password)
    keys(visitor)
    damage(visitor, password)


def confirm(visitor: Visitor, platform: Platform) -> None:
    (mail,) = mails(platform, "alice@example.org")
    (token,) = links(mail).values()
    visitor.post("/auth/verify-email", {"token": visitor.plant("e-mail token", token)})
    visitor.post("/auth/verify-email", {"token": token}, 422)
    visitor.post("/auth/verify-email", {"token": visitor.plant("no e-mail token", f"x{uuid4().hex}" + "A" * 10)}, 422)


def sign_in(visitor: Visitor, password: str) -> None:
    wrong = visitor.plant("wrong password", f"wrong-{uuid4()}")
    visitor.post("/auth/login", {"username": "alice", "password": wrong}, 401)
    typed = visitor.plant("password in the name", f"typed-{uuid4()}")
    visitor.post("/auth/login", {"username": typed, "password": password}, 401)
    visitor.post("/auth/login", {"username": "alice", "password": [visitor.plant("list", f"list-{uuid4()}")]}, 422)
    pair = visitor.tokens(visitor.post("/auth/login", {"username": "alice", "password": password}))
    new = visitor.tokens(visitor.post("/auth/refresh", {"refresh_token": pair["refresh_token"]}))
    visitor.post("/auth/refresh", {"refresh_token": new["access_token"][:256]}, 401)
    visitor.get(f"/users/me?access_token={new['access_token']}")
    visitor.get("/users/me", 401, Authorization=f"Bearer {visitor.plant('no token', f'eyJ.{uuid4()}')}")


def second_factor(visitor: Visitor, password: str) -> None:
    seed_ = visitor.plant("seed", visitor.post("/auth/enable-2fa", {"password": password})["secret"])
    totp = pyotp.TOTP(seed_)
    visitor.post("/auth/verify-2fa", {"code": "000000"}, 422)
    codes = visitor.post_once("/auth/verify-2fa", {"code": totp.now()})
    recovery = [visitor.plant("recovery code", code) for code in codes["recovery_codes"]]
    body = {"username": "alice", "password": password}
    visitor.post("/auth/login", body, 401)
    visitor.post("/auth/login", body | {"totp": visitor.plant("no code", "aaaa-bbbb-cccc-dddd")}, 401)
    visitor.tokens(visitor.post("/auth/login", body | {"totp": totp.at(int(time.time()) + 30)}))
    again = visitor.post("/auth/recovery-codes", {"password": password, "code": recovery[0]})
    last = [visitor.plant("new recovery code", code) for code in again["recovery_codes"][:3]]
    visitor.post("/auth/disable-2fa", {"password": password, "code": recovery[1]}, 422)
    visitor.post("/auth/disable-2fa", {"password": password, "code": last[0]})


def change_password(visitor: Visitor, password: str) -> str:
    new = visitor.plant("new password", f"second-{uuid4()}")
    visitor.post("/users/me/password", {"current": visitor.plant("guess", f"guess-{uuid4()}"), "new": new}, 403)
    visitor.post("/users/me/password", {"current": password, "new": new})
    return new


def keys(visitor: Visitor) -> None:
    for _ in range(2):
        passkey = visitor.plant("passkey", visitor.get("/users/me/passkey")["passkey"])
        visitor.get(f"/announce/{passkey}", 404)
        visitor.plant("feed key", visitor.get("/users/me/rss-key")["rss_key"])
        visitor.post_once("/users/me/passkey/reset")
        visitor.post_once("/users/me/rss-key/reset")
    feed = urlsplit(visitor.get("/users/me/rss-key")["feed_urls"][0])
    document = visitor.send("GET", f"{feed.path}?{feed.query}")
    assert ElementTree.fromstring(document.content).tag == "rss"
    link = visitor.plant("link key", f"rss_{uuid4().hex}{uuid4().hex}"[:47])
    visitor.send("GET", f"/api/v1/rss/torrents?key={link}", None, 401)
    body = {"name": "seedbox", "scopes": ["read"]}
    made = visitor.post_once("/users/me/api-keys", body, 201)
    key = visitor.plant("API key", made["key"])
    visitor.post("/requests", {}, 403, Authorization=f"Bearer {key}")


def damage(visitor: Visitor, password: str) -> None:
    """Bodies that cannot be read, and a sign-out."""
    pair = visitor.tokens(visitor.post("/auth/login", {"username": "alice", "password": password}))
    for body in (f'{{"password": "{password}"', f'{{"password": "{password}", "password": "x"}}', f'"{password}"'):
        answer = visitor._api.post("/api/v1/auth/login", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        visitor.refusals.append(answer)
    visitor.post("/auth/logout", {"refresh_token": pair["refresh_token"]}, 204)
    visitor.post("/auth/refresh", {"refresh_token": pair["refresh_token"]}, 401)
    visitor.get("/users/me", 401)


def tables(platform: Platform) -> Iterator[tuple[str, str]]:
    """Every row of every table as text, bytes as what they spell and in hexadecimal."""
    with platform.pool.connection() as connection:
        names = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('es', 'read', 'credentials', 'journal') AND has_table_privilege("
            "  format('%I.%I', schemaname, tablename), 'SELECT')"
        ).fetchall()
        for (name,) in names:
            for row in connection.execute(f"SELECT * FROM {name}").fetchall():  # names are quoted by the server
                yield name, " ".join(_spelt(value) for value in row)


def _spelt(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return f"{raw.decode('latin-1')} {raw.hex()}"
    return str(value)


def cache(settings: Settings) -> str:
    with Redis.from_url(settings.redis.url) as client:
        return " ".join(f"{key!r} {client.dump(key)!r}" for key in client.scan_iter("*"))


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return "\n".join(found)


@pytest.fixture
def guarded(settings: Settings, make_platform: Callable[..., Platform]) -> Settings:
    """Settings in which the database has a password, and addresses are verified."""
    url = settings.database.url.replace("://tracker_app@", f"://tracker_app:{DATABASE_PASSWORD}@")
    assert url != settings.database.url
    changed = {
        "database": settings.database.model_copy(update={"url": url}),
        "registration": settings.registration.model_copy(update={"verify_email": True}),
    }
    return settings.model_copy(update=changed)


def test_forty_planted_secrets_are_found_nowhere(guarded: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with Platform(guarded, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS) as platform:
        seed(platform.store(SYSTEM, "seed"))
        with TestClient(create_app(platform), raise_server_exceptions=False) as api:
            visitor = Visitor(platform, api)
            walk(visitor, platform)
            metrics = api.get("/metrics/").text + generate_latest(REGISTRY).decode()
        projected(platform, *ALL, *POLICIES)
        places = {
            "the logs": "".join(capsys.readouterr()),
            "the metrics": metrics,
            "refusals": "\n".join(f"{one.headers} {one.text}" for one in visitor.refusals),
            "Valkey": cache(guarded),
            "command lines": command_lines(),
        }
        places |= {f"{name}, row {n}": text for n, (name, text) in enumerate(tables(platform))}
    planted = visitor.planted | {
        f"{name} key, {form}": text
        for name, key in (("signing", SECRETS.jwt), ("site", SECRETS.site), ("encryption", SECRETS.key_encryption))
        for form, text in (("as it is", key.decode()), ("in hexadecimal", key.hex()))
    }
    assert len(planted) >= 40
    assert len(visitor.refusals) >= 15
    hits = [(what, where) for where, text in places.items() for what, secret in planted.items() if secret in text]
    assert hits == []


def test_the_search_finds_what_is_there(guarded: Settings) -> None:
    """A search that looked past its places would always find nothing."""
    with Platform(guarded, domain.EVENTS, ALL, secrets=SECRETS) as platform:
        seed(platform.store(SYSTEM, "seed"))
        found = {name for name, text in tables(platform) if re.search("forum_moderator", text)}
    assert "es.event" in found
    assert "python" in command_lines()
