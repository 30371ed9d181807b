"""Secrets turn up nowhere but where they belong: forty are planted in a running site, used, and looked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import pyotp
import pytest
from httpx import Response
from redis import Redis

import domain
from commands.policies import POLICIES
from projections import ALL
from runtime.mail_delivery import FOLDER
from runtime.platform import Platform
from runtime.settings import Settings
from tests.given import rows_of
from tests.mailbox import links, mails
from tests.site import Site, eventually

pytestmark = pytest.mark.engine

DATABASE_PASSWORD = "database-pw-7f3a91c2"
SITE_SECRETS = {what: f"{what}: {uuid4().hex}" for what in ("signing key", "site secret", "encryption key")}


class Visitor:
    """One member who does everything that has to do with secrets; `planted` has each of them by what it is."""

    def __init__(self, platform: Platform, site: Site) -> None:
        self._platform = platform
        self._http = httpx.Client(base_url=site.url, timeout=20)
        site.clients.append(self._http)
        self._requests = 0
        self.refusals: list[Response] = []
        self.planted: dict[str, str] = {"database password": DATABASE_PASSWORD, **SITE_SECRETS}
        self.headers: dict[str, str] = {}

    def plant(self, what: str, secret: str) -> str:
        self.planted[f"{what} {len(self.planted)}"] = secret
        return secret

    def send(
        self, method: str, path: str, body: Any = None, expect: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        self.catch_up()
        self._requests += 1  # each from an address of its own: who fails too often at one has to wait
        headers = {"X-Forwarded-For": f"192.0.2.{self._requests % 250}"} | self.headers | (headers or {})
        sent = {} if body is None else {"json": body}
        answer = self._http.request(method, path, headers=headers, **sent)
        assert answer.status_code == expect, f"{path}: {answer.text}"
        if answer.status_code >= 400:
            self.refusals.append(answer)
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer

    def send_bytes(self, path: str, content: str) -> None:
        """What cannot be read is refused."""
        answer = self._http.post(path, content=content, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        self.refusals.append(answer)

    def catch_up(self) -> None:
        """The worker of the site has done what follows from the facts so far."""
        behind = (
            "SELECT count(*) FROM es.follower WHERE position < (SELECT coalesce(max(position), 0) FROM es.event)"
            " AND name = ANY (%s)"
        )
        names = [follower.name for follower in ALL]
        eventually(lambda: rows_of(self._platform, behind, [names]) == [(0,)], why="the worker catches up")

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


def walk(visitor: Visitor, platform: Platform, site: Site) -> None:
    """Every flow with a secret in it, done right and done wrong."""
    password = visitor.plant("password", f"first-{uuid4()}")
    body = {"username": "alice", "email": "alice@example.org", "password": password}
    visitor.post("/auth/register", body | {"invite": visitor.plant("invite", f"inv-{uuid4()}")}, 422)
    visitor.post("/auth/register", body, 201)
    confirm(visitor, platform)
    sign_in(visitor, password)
    second_factor(visitor, password)
    password = change_password(visitor, password)
    keys(visitor, site)
    damage(visitor, password)


def confirm(visitor: Visitor, platform: Platform) -> None:
    (mail,) = eventually(lambda: mails(platform, "alice@example.org"), why="the worker delivers the mail")
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


def keys(visitor: Visitor, site: Site) -> None:
    for _ in range(2):
        passkey = visitor.plant("passkey", visitor.get("/users/me/passkey")["passkey"])
        visitor.get(f"/announce/{passkey}", 404)
        announce(visitor, site, passkey)
        announce(visitor, site, visitor.plant("no passkey", uuid4().hex))
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


def announce(visitor: Visitor, site: Site, key: str) -> None:
    """At the edge: of a torrent that nobody knows, with the key in the path and in the query."""
    query = f"info_hash={'a' * 20}&peer_id=-qB5100-{'b' * 12}&port=7000&uploaded=0&downloaded=0&left=0"
    for target in (f"/announce/{key}?{query}", f"/{key}/announce?{query}", f"/announce?passkey={key}&{query}"):
        answer = httpx.get(site.edge_url + target)
        assert b"failure reason" in answer.content
        visitor.refusals.append(answer)


def damage(visitor: Visitor, password: str) -> None:
    """Bodies that cannot be read, and a sign-out."""
    pair = visitor.tokens(visitor.post("/auth/login", {"username": "alice", "password": password}))
    for body in (f'{{"password": "{password}"', f'{{"password": "{password}", "password": "x"}}', f'"{password}"'):
        visitor.send_bytes("/api/v1/auth/login", body)
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


def files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Everything that the site has written beside its servers; mail is for whoever reads the mailbox."""
    for path in settings.data_dir.rglob("*"):
        if path.is_file() and FOLDER not in path.relative_to(settings.data_dir).parts:
            yield str(path), path.read_bytes().decode("latin-1")


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    """Settings in which the database has a password, secrets are the site's own, and addresses are verified."""
    url = settings.database.url.replace("://tracker_app@", f"://tracker_app:{DATABASE_PASSWORD}@")
    assert url != settings.database.url
    changed = {
        "database": {"url": url, "owner_url": settings.database.owner_url},
        "auth": {"jwt_secret": SITE_SECRETS["signing key"]},
        "security": {
            "site_secret": SITE_SECRETS["site secret"],
            "key_encryption_key": SITE_SECRETS["encryption key"],
        },
        "registration": {"verify_email": True},
        "server": {"trusted_proxies": "127.0.0.1/32"},
    }
    return Settings.model_validate(settings.model_dump() | changed)


@contextmanager
def running(settings: Settings) -> Iterator[Site]:
    """`tracker up` over the engines of the tests."""
    own = ("DATA_DIR", "SERVER__PORT", "EDGE__HTTP_PORT", "EDGE__UDP_PORT", "TELEMETRY__METRICS_PORT")
    given = {name: value for name, value in settings.environ().items() if name.removeprefix("APP__") not in own}
    site = Site(settings.data_dir, **given)
    site.environment["APP__DATA_DIR"] = str(settings.data_dir)
    site.start()
    try:
        yield site
    finally:
        site.end()


def test_forty_planted_secrets_are_found_nowhere_on_a_running_site(guarded: Settings) -> None:
    with running(guarded) as site, Platform(guarded, domain.EVENTS, (*ALL, *POLICIES)) as platform:
        visitor = Visitor(platform, site)
        walk(visitor, platform, site)
        visitor.catch_up()
        metrics = httpx.get(f"http://127.0.0.1:{site.metrics_port}/metrics").text
        lines = command_lines()
        assert site.stop() == 0
        site.reader.join(5)
        places = {
            "the logs": "\n".join(site.output),
            "the metrics": metrics,
            "refusals": "\n".join(f"{one.headers} {one.text}" for one in visitor.refusals),
            "Valkey": cache(guarded),
            "command lines": lines,
            **dict(files(guarded)),
        }
        rows = list(tables(platform))
    places |= {f"{name}, row {n}": text for n, (name, text) in enumerate(rows)}
    planted = visitor.planted | {f"{what}, in hexadecimal": SITE_SECRETS[what].encode().hex() for what in SITE_SECRETS}
    assert len(planted) >= 40
    assert len(visitor.refusals) >= 30
    hits = [(what, where) for where, text in places.items() for what, secret in planted.items() if secret in text]
    assert hits == []
    there = {"the logs": "/api/v1/auth/login", "the metrics": "http_requests_total", "command lines": "runtime.cli"}
    assert [where for where, word in there.items() if word not in places[where]] == [], "a search that looks past"
    assert {"es.event", "es.command", "credentials.session", "read.account"} <= {name for name, _ in rows}
