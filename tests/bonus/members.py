"""Members of a small site: accounts with sessions, who call handlers directly or over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from typing import Any
from uuid import UUID

from psycopg import Cursor

from commands.default_data import seed
from domain.base import SYSTEM
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.default_data import GROUPS
from domain.metainfo import File, Metainfo
from domain.sessions import Session
from domain.torrents import Torrent
from domain.users import User
from projections.audit import audit
from projections.bonus import bonus
from projections.bonus_rules import bonus_rules
from projections.categories import categories
from projections.groups import groups
from projections.moderation import moderation
from projections.requests import requests
from projections.users import users
from runtime.http.deps import Caller
from runtime.platform import Platform
from runtime.store import Store, new_id
from tests.given import projected

READ = (users, groups, categories, bonus, bonus_rules, requests, moderation, audit)
NOW = datetime.now(UTC)


class Member:
    """One account with a living session."""

    def __init__(self, platform: Platform, name: str, group: str) -> None:
        self.platform = platform
        _, _, level, permissions = next(row for row in GROUPS if row[0] == group)
        self.id = new_id()
        session_id = new_id()

        def sign_in(cursor: Cursor[Any]) -> None:
            platform.tokens.start_session(cursor, self.id, NOW, session_id=session_id)

        user = User.register(self.id, name, f"{name}@example.org", group)
        platform.store(self.id).save(user, Session.start(session_id, self.id), beside=sign_in)
        granted = frozenset(str(permission) for permission in permissions)
        self.caller = Caller(self.id, name, group, level, granted, session_id, enabled=True)
        token = platform.tokens.access_token(self.id, session_id, datetime.now(UTC))
        self.headers = {"Authorization": f"Bearer {token}"}

    @property
    def store(self) -> Store:
        """A store for one more command of this member's."""
        return self.platform.store(self.id, "api")

    def account(self, kind: AccountKind = AccountKind.BONUS) -> Account:
        """The account as it is now; an empty one when there is none."""
        fresh = Account.open(kind, self.id)
        return self.store.find(Account, fresh.id) or fresh

    def earns(self, thousandths: int) -> None:
        account, issuance, entry = self.account(), self.account(AccountKind.ISSUANCE), new_id()
        transfer(issuance, account, thousandths, Cause(PostingKind.GRANTED, "grant", entry, "pay"), entry_id=entry)
        self.platform.store(SYSTEM).save(account, issuance)

    def uploads(self, name: str = "A Film", *, listed: bool = True) -> Torrent:
        torrent = Torrent.upload(
            new_id(),
            Metainfo(
                name=name,
                files=(File("a", 700),),
                size=700,
                piece_length=16384,
                private_added=False,
                info_hash_v1=sha1(new_id().bytes).digest(),
                info_hash_v2=None,
                info=b"de",
                piece_layers=None,
            ),
            uploader_id=self.id,
            name=name,
            description="About it",
            category="movies-hd",
            tags=[],
            anonymous=False,
            metainfo_sha256="00" * 32,
            trusted=listed,
        )
        self.store.save(torrent)
        return torrent


class Members:
    """A site with default data, and everybody who joins it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        seed(platform.store(SYSTEM, "seed"))

    def join(self, name: str, group: str = "member", *, points: int = 0) -> Member:
        """A new member of that group with so many whole points."""
        member = Member(self.platform, name, group)
        if points:
            member.earns(points * 1000)
        return member

    def catch_up(self) -> None:
        """Let every projection that these tests read from run until nothing is left."""
        projected(self.platform, *READ)


class Client:
    """The API as members call it; projections have caught up before each query."""

    def __init__(self, members: Members, http: Any) -> None:
        self._members = members
        self._http = http

    def post(self, member: Member, path: str, body: Any = None, **headers: str) -> Any:
        self._members.catch_up()
        options = {} if body is None else {"json": body}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.post(f"/api/v1{path}", headers={**member.headers, **names}, **options)

    def get(self, member: Member, path: str, **params: Any) -> Any:
        self._members.catch_up()
        return self._http.get(f"/api/v1{path}", headers=member.headers, params=params)


def everything(platform: Platform, table: str) -> set[str]:
    """Every row of a read table as text, to compare two runs of a projection."""
    with platform.pool.connection() as connection:
        return {row[0] for row in connection.execute(f"SELECT t::text FROM read.{table} t").fetchall()}


def account_ids(user_ids: list[UUID], kind: AccountKind) -> list[UUID]:
    """Where these users' points of that kind are."""
    return [Account.open(kind, user_id).id for user_id in user_ids]
