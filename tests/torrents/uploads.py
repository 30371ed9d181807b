"""Torrents to upload, and callers of every group with their projections always caught up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from httpx import Response

from domain.base import Aggregate
from domain.default_data import default_data
from domain.metainfo import File, Metainfo
from domain.torrents import Torrent
from domain.users import User
from projections.categories import categories
from projections.chat import chat
from projections.forums import forums
from projections.groups import groups
from projections.search import search
from projections.torrents import torrents
from projections.users import users
from runtime.platform import Platform
from runtime.store import new_id
from tests.given import Given, projected
from tests.in_process import TestClient
from tests.metainfo.samples import single_info, torrent

FOLLOWED = (users, groups, categories, forums, chat, torrents, search)


def metainfo(n: int = 0, *, size: int = 1000) -> Metainfo:
    """A checked .torrent of two files; another `n` is another torrent."""
    return Metainfo(
        name=f"name {n}",
        files=(File("a.bin", size - 1), File("b/c.bin", 1)),
        size=size,
        piece_length=16384,
        private_added=False,
        info_hash_v1=n.to_bytes(20, "big"),
        info_hash_v2=None,
        info=b"de",
        piece_layers=None,
    )


def upload(n: int = 0, **changes: Any) -> Torrent:
    """A new torrent as the domain makes it."""
    fields: dict[str, Any] = {
        "uploader_id": UUID(int=7),
        "name": f"Upload {n}",
        "description": "About it",
        "category": "movies-hd",
        "tags": ["drama"],
        "anonymous": False,
        "metainfo_sha256": "00" * 32,
        "trusted": False,
    }
    size = changes.pop("size", 1000)
    return Torrent.upload(new_id(), metainfo(n, size=size), **(fields | changes))


def file_of(name: str, **more: Any) -> bytes:
    """A .torrent file; another name is another info-hash."""
    return torrent(single_info(name=name.encode(), **more))


class Caller:
    """Somebody with an account of this group, over the API."""

    def __init__(self, platform: Platform, api: TestClient, group: str) -> None:
        self.platform = platform
        self._api = api
        self.id = new_id()
        self.username = f"{group}-{self.id.hex[-6:]}"
        user = User.register(self.id, self.username, f"{self.username}@example.org", group)
        platform.store(self.id).save(user)
        with platform.pool.connection() as connection:
            pair = platform.tokens.start_session(connection, self.id, datetime.now(UTC))
        self._headers = {"Authorization": f"Bearer {pair.access_token}"}

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
        projected(self.platform, *FOLLOWED)
        answer: Response = self._api.request(
            method, f"/api/v1{path}", headers={**self._headers, **(headers or {})}, **options
        )
        return answer

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


def start_site(platform: Platform) -> None:
    """Default data: groups and categories."""
    aggregates: list[Aggregate] = list(default_data())
    Given(platform).aggregates(*aggregates)
