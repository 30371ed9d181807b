"""Members of a small site: accounts with sessions, who call handlers directly or over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from httpx import Response

from commands.default_data import seed
from commands.registration import create_user
from domain.base import SYSTEM
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.default_data import GROUPS
from domain.sessions import Session
from domain.torrents import Torrent
from domain.users import User
from projections import ALL
from projections.groups import groups
from projections.users import users
from runtime.http.deps import Caller
from runtime.platform import Platform
from runtime.store import Store, new_id
from runtime.tokens import Pair
from tests.given import projected
from tests.in_process import TestClient
from tests.torrents.uploads import file_of, upload

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Member:
    """One account with a living session: `caller` calls handlers, `headers` are those of requests."""

    platform: Platform
    caller: Caller
    pair: Pair

    @property
    def id(self) -> UUID:
        return self.caller.user_id

    @property
    def username(self) -> str:
        return self.caller.username

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.pair.access_token}"}

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

    def uploads(self, name: str = "A Film", *, listed: bool = True, anonymous: bool = False) -> Torrent:
        torrent = upload(new_id().int, uploader_id=self.id, name=name, tags=[], trusted=listed, anonymous=anonymous)
        self.store.save(torrent)
        return torrent


class Members:
    """A site with default data, and everybody who joins it."""

    def __init__(self, platform: Platform, *, furnished: bool = False) -> None:
        """Default data is written, unless the database was copied from one that has it."""
        self.platform = platform
        if not furnished:
            seed(platform.store(SYSTEM, "seed"))
            projected(platform, groups)

    def join(self, name: str, group: str = "member", *, points: int = 0, password: str = "") -> Member:
        """A new member of that group with so many whole points, who can call at once.

        Only with a password is the name claimed, as sign-in and registration need it: most tests do neither.
        """
        member = self.sign_in(self._register(name, group, password), name, group)
        if points:
            member.earns(points * 1000)
        projected(self.platform, users)
        return member

    def sign_in(self, user_id: UUID, name: str, group: str = "member") -> Member:
        """One more session of a user, as the sign-in records it."""
        now, session = datetime.now(UTC), Session.start(new_id(), user_id)
        pairs: list[Pair] = []
        self.platform.store(user_id).save(
            session,
            beside=lambda cursor: pairs.append(
                self.platform.tokens.start_session(cursor, user_id, now, session_id=session.id)
            ),
        )
        _, _, level, permissions = next(row for row in GROUPS if row[0] == group)
        granted = frozenset(str(permission) for permission in permissions)
        caller = Caller(user_id, name, group, level, granted, session.id, enabled=True)
        return Member(self.platform, caller, pairs[0])

    def catch_up(self) -> None:
        """Let every projection run until nothing is left."""
        projected(self.platform, *ALL)

    def _register(self, name: str, group: str, password: str) -> UUID:
        email = f"{name}@example.org"
        if not password:
            user = User.register(new_id(), name, email, group)
            self.platform.store(user.id).save(user)
            return user.id
        store, secret, now = self.platform.store(SYSTEM), self.platform.secrets.site, datetime.now(UTC)
        made = create_user(store, secret, username=name, email=email, password=password, group=group, now=now)
        return made.id


class Client:
    """The API as members, and their API keys, call it; projections have caught up before each request but `at_once`."""

    def __init__(self, members: Members, api: TestClient) -> None:
        self.members = members
        self.platform = members.platform
        self.api = api

    def get(self, who: Member, path: str, **params: Any) -> Response:
        return self.send("GET", path, who, params=params)

    def post(self, who: Member, path: str, body: Any = None, **headers: str) -> Response:
        return self.send("POST", path, who, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def send(
        self,
        method: str,
        path: str,
        who: Member | str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Response:
        """A request of a member, or with an API key; further options are those of httpx."""
        self.members.catch_up()
        return self.at_once(method, path, who, body, headers, **options)

    def at_once(
        self,
        method: str,
        path: str,
        who: Member | str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Response:
        """The same, before any projection ran."""
        identity = {"Authorization": f"Bearer {who}"} if isinstance(who, str) else who.headers
        sent = options if body is None else {"json": body, **options}
        answer: Response = self.api.request(method, f"/api/v1{path}", headers={**identity, **(headers or {})}, **sent)
        return answer

    def agent(self, name: str, group: str = "member") -> Agent:
        """Somebody new."""
        return Agent(self, self.members.join(name, group))


class Agent:
    """One member at the API: the JSON of answers that have the status which is expected."""

    def __init__(self, client: Client, member: Member) -> None:
        self.id, self.username, self.platform = member.id, member.username, member.platform
        self._client, self._member = client, member

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
        return self._client.send(method, path, self._member, None, headers, **options)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.send("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object = None, expect: int = 200) -> Any:
        answer = self.send("POST", path, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def delete(self, path: str, body: object = None, expect: int = 200) -> Any:
        answer = self.send("DELETE", path, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def upload(self, file: bytes, headers: dict[str, str] | None = None, **fields: Any) -> Response:
        data = {"name": "", "description": "d", "category": "movies-hd", **fields}
        return self.send("POST", "/torrents", headers, files={"file": ("x.torrent", file)}, data=data)

    def uploaded(self, file_name: str, **fields: Any) -> Any:
        """The receipt of a new upload whose file has that name."""
        answer = self.upload(file_of(file_name), **fields)
        assert answer.status_code == 201, answer.text
        return answer.json()
