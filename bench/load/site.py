"""The load on a running site: accounts and torrents made over its API, and its numbers read back from it."""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from getpass import getpass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import bencodepy
import httpx

from bench.catalogue import Catalogue, Torrent
from bench.load.check import Credited, differences
from bench.load.generator import Load, Outcome
from bench.load.population import Moved, Shares

PIECE_BYTES = 16 * 2**20
#: How long the site's numbers may lag behind the last answer.
SETTLE_S = 60.0
PASSWORD = uuid4().hex


class Caller:
    """One account over HTTP; its queries wait for its own commands."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", timeout=30)
        self.position = 0

    def login(self, username: str, password: str) -> dict[str, Any]:
        tokens = self.ask("POST", "/auth/login", json={"username": username, "password": password})
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return self.ask("GET", "/users/me")

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer; raises SystemExit with the site's own words when it refuses."""
        if method == "GET":
            options["headers"] = {"X-Min-Position": str(self.position)}
        while (answer := self.http.request(method, path, **options)).status_code == 503:
            time.sleep(0.2)
        if not answer.is_success:
            raise SystemExit(f"{method} {path}: {answer.text}")
        shown: dict[str, Any] = answer.json() if answer.content else {}
        self.position = max(self.position, shown.get("position") or 0)
        return shown


def run(
    options: argparse.Namespace,
    shares: Shares,
    drive: Callable[[Load], Outcome],
    show: Callable[[Outcome, Load], None],
    verdict: Callable[[Outcome, Credited], int],
) -> int:
    """Makes users and torrents, sends the load, waits for the site's numbers; the exit code."""
    staff = Caller(options.url)
    staff.login(options.username, os.environ.get("LOAD_PASSWORD") or getpass(f"password of {options.username}: "))
    catalogue, announce_url = _catalogue(options, staff)
    port = urlsplit(announce_url).port or 80
    host = urlsplit(announce_url).hostname or "127.0.0.1"
    if shares.ipv6 and not _answers("::1", port):
        print("the edge does not listen on ::1: no IPv6 in this run")
        shares = replace(shares, ipv6=0.0)
    load = Load(
        catalogue, port, options.rate, options.seconds, min(options.peers, catalogue.room), shares, options.seed,
        timeout_s=options.timeout, hosts=(host, "::1"),
    )  # fmt: skip
    outcome = drive(load)
    show(outcome, load)
    deadline = time.monotonic() + SETTLE_S
    while differences(outcome.moved, found := _numbers(staff, catalogue)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return verdict(outcome, found)


def _catalogue(options: argparse.Namespace, staff: Caller) -> tuple[Catalogue, str]:
    """New accounts with their general keys, and new torrents; the announce URL of one account."""
    name = f"load{uuid4().hex[:8]}"
    accounts = [_register(options.url, f"{name}n{number}") for number in range(options.users)]
    torrents = [_upload(staff, f"{name} {number}") for number in range(options.torrents)]
    keys = [account["passkey"] for account in accounts]
    users = [UUID(account["id"]) for account in accounts]
    return Catalogue(users, torrents, keys, seed=options.seed), accounts[0]["announce_urls"][0]


def _register(url: str, username: str) -> dict[str, Any]:
    caller = Caller(url)
    body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
    caller.ask("POST", "/auth/register", json=body)
    found = caller.login(username, PASSWORD)
    caller.http.close()
    return found


def _upload(staff: Caller, name: str) -> Torrent:
    """A v1 torrent of 512 MiB that nobody has."""
    pieces = 32
    info = {
        "length": pieces * PIECE_BYTES, "name": name, "piece length": PIECE_BYTES, "pieces": os.urandom(20 * pieces),
        "private": 1,
    }  # fmt: skip
    torrent = staff.ask(
        "POST",
        "/torrents",
        files={"file": ("x.torrent", bencodepy.encode({"info": info}), "application/x-bittorrent")},
        data={"name": name, "description": name, "category": "movies-hd", "tags": "load", "anonymous": "false"},
    )
    if torrent["status"] == "pending":
        staff.ask("POST", f"/torrents/{torrent['id']}/approve")
    detail = staff.ask("GET", f"/torrents/{torrent['id']}")
    return Torrent(UUID(torrent["id"]), (bytes.fromhex(detail["info_hash_v1"]),), pieces * PIECE_BYTES)


def _numbers(staff: Caller, catalogue: Catalogue) -> Credited:
    """What was moved as the site shows it, before promotions: by user, and by the announces that explain it."""
    found = Credited()
    nothing = Moved(0, 0)
    for user in catalogue.users:
        stats = staff.ask("GET", f"/users/{user}/stats")
        found.users[user.bytes] = Moved(stats["raw_uploaded"], stats["raw_downloaded"])
        for transfer in _transfers(staff, user):
            found.announces += 1
            if transfer["anomaly"]:
                found.anomalies[transfer["anomaly"]] += 1
            torrent, raw = UUID(transfer["torrent_id"]).bytes, (transfer["raw_uploaded"], transfer["raw_downloaded"])
            pair = user.bytes, torrent
            found.pairs[pair] = found.pairs.get(pair, nothing).plus(*raw)
            found.torrents[torrent] = found.torrents.get(torrent, nothing).plus(*raw)
    return found


def _transfers(staff: Caller, user: UUID) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"limit": 100}
    while True:
        page = staff.ask("GET", f"/users/{user}/stats/transfers", params=parameters)
        found += page["items"]
        if not page["next_cursor"]:
            return found
        parameters["cursor"] = page["next_cursor"]


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
