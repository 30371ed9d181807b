"""The main path, as users walk it: every step through the sockets of a running site, with real BitTorrent clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bittorrent import Client, make_torrent
from tests.site import Api, Site, eventually, free_ports, running

SIZE = 3_000_017


@pytest.mark.engine
def test_the_main_path(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        sysop, member = site.sysop("alice"), site.register("bob")
        torrent = upload_and_find(site, sysop, member, tmp_path)
        transfer(site, sysop, member, torrent, tmp_path)
        earn_a_bounty(sysop, member, torrent)
        decide_a_case(site, sysop, member, torrent)
        read_the_audit_log(sysop, member, torrent)
        ask_it_all_at_once(sysop, member, torrent)
        rebuild_everything(site)
        assert site.stop() == 0


def upload_and_find(site: Site, sysop: Api, member: Api, folder: Path) -> Any:
    file = make_torrent(folder / "seed", "film.bin", SIZE)
    torrent = sysop.post(
        "/torrents",
        files={"file": ("x.torrent", file, "application/x-bittorrent")},
        data={"name": "A Film About Ledgers", "description": "d", "category": "movies-hd", "tags": "drama,ledgers",
              "anonymous": "false"},
        expect=201,
    )  # fmt: skip
    if torrent["status"] == "pending":
        sysop.post(f"/torrents/{torrent['id']}/approve")
    member.position = sysop.position
    listed = member.get("/torrents")["items"]
    assert [t["id"] for t in listed] == [torrent["id"]]
    found = eventually(
        lambda: member.get("/search/torrents", q="ledgres")["items"], why="search finds it in spite of a typo"
    )
    assert found[0]["id"] == torrent["id"]
    return torrent


def transfer(site: Site, sysop: Api, member: Api, torrent: Any, folder: Path) -> None:
    """Two clients announce, find each other and transfer; the numbers are right to the byte."""
    theirs = {api: api.get(f"/torrents/{torrent['id']}/download") for api in (sysop, member)}
    assert theirs[sysop] != theirs[member], "each file carries its owner's key"
    ports = free_ports(2)
    seeder = Client(ports[0], theirs[sysop], folder / "seed")
    seeder.wait(lambda s: s.is_seeding and seeder.announced(), 30, "the seeder announces")
    leecher = Client(ports[1], theirs[member], folder / "leech")
    leecher.wait(lambda s: s.is_seeding, 60, "the leecher finds the seeder and downloads")

    detail = eventually(lambda: shows(member, torrent, seeders=2, times_completed=1), why="both show as seeders")
    assert detail["leechers"] == 0
    peers = member.get(f"/torrents/{torrent['id']}/peers")["items"]
    assert {p["user"]["username"] for p in peers} == {"alice", "bob"}
    assert all("libtorrent" in p["client"].lower() for p in peers)

    up, down = seeder.stop()[0], leecher.stop()[1]
    assert up >= SIZE
    assert down >= SIZE
    eventually(lambda: stats(sysop)["uploaded"] == up, why="the upload is credited to the byte")
    eventually(lambda: stats(member)["downloaded"] == down, why="the download is charged to the byte")
    assert stats(member)["snatched"] == 1
    assert eventually(lambda: shows(member, torrent, seeders=0, times_completed=1), why="both have stopped")


def earn_a_bounty(sysop: Api, member: Api, torrent: Any) -> None:
    sysop.post(f"/users/{member.id}/bonus/grants", {"points": 500, "reason": "welcome"})
    member.position = sysop.position
    request = member.post(
        "/requests", {"title": "That film", "description": "", "category": "movies-hd", "bounty": 120.5}
    )
    sysop.post(f"/requests/{request['id']}/fill", {"torrent_id": torrent["id"]})
    member.post(f"/requests/{request['id']}/accept")
    sysop.position = member.position
    ledger = member.get("/users/me/ledger", account="bonus")["items"]
    assert [(p["amount"], p["balance"], p["kind"]) for p in ledger] == [
        (-120.5, 379.5, "bounty_escrowed"),
        (500, 500, "granted"),
    ]
    earned = sysop.get("/users/me/ledger", account="bonus")["items"]
    assert [(p["amount"], p["kind"], p["cause"]["id"]) for p in earned] == [(120.5, "bounty_paid", request["id"])]
    assert sysop.get("/users/me")["bonus_points"] == 120.5


def decide_a_case(site: Site, sysop: Api, member: Api, torrent: Any) -> None:
    report = member.post(
        "/reports",
        {"subject_type": "torrent", "subject_id": torrent["id"], "reason": "dupe", "text": "I have seen this before"},
        expect=201,
    )
    moderator = site.register("carol")
    sysop.post(f"/users/{moderator.id}/group", {"group": "moderator", "reason": "trusted"})
    case = f"/moderation/cases/{report['case_id']}"
    moderator.position = sysop.position = max(member.position, sysop.position)
    assert [c["id"] for c in moderator.get("/moderation/cases")["items"]] == [report["case_id"]]
    moderator.post(f"{case}/claim")
    moderator.post(f"{case}/comments", {"text": "Not the same cut"})
    moderator.post(f"{case}/decision", {"outcome": "dismissed", "reason": "a different cut"})

    history = moderator.get(f"{case}/history")["items"]
    assert [step["type"] for step in history] == [
        "case.opened", "case.report_filed", "case.claimed", "case.commented", "case.decided",
    ]  # fmt: skip
    assert [step["state"]["state"] for step in history] == ["open", "open", "claimed", "claimed", "decided"]
    assert history[1]["actor"]["username"] == "bob"
    as_of_version = moderator.get(f"{case}/history", at="3")
    assert as_of_version["state"]["state"] == "claimed"
    assert len(as_of_version["items"]) == 3
    as_of_time = moderator.get(f"{case}/history", at=history[1]["at"])
    assert [step["version"] for step in as_of_time["items"]] == [1, 2]
    sysop.position = moderator.position


def read_the_audit_log(sysop: Api, member: Api, torrent: Any) -> None:
    entries = sysop.get("/audit", limit=100)["items"]
    done = {(e["action"], e["actor"]["username"]) for e in entries}
    assert {
        ("user.registered", "bob"),
        ("torrent.uploaded", "alice"),
        ("request.opened", "bob"),
        ("request.filled", "alice"),
        ("request.accepted", "bob"),
        ("case.decided", "carol"),
    } <= done
    about = sysop.get("/audit", subject=torrent["id"], limit=100)["items"]
    assert {"torrent.uploaded", "torrent.approved"} <= {e["action"] for e in about}
    assert all(e["command_id"] and e["at"] for e in entries)
    member.send("GET", "/audit", 403)


def ask_it_all_at_once(sysop: Api, member: Api, torrent: Any) -> None:
    """The same by GraphQL, in one document."""
    document = """query all($torrent: ID!) {
        torrent(torrent_id: $torrent) { name times_completed uploader { user { username stats { uploaded } } } }
        requests { items { state bounty requester { username } torrent { name } bounties { amount } } }
        cases { items { state outcome subject { torrent { name } } moderator { user { group } } } }
        audit_entries(type: "torrent.uploaded") { items { actor { username } subject { torrent { name } } } }
        own_account { bonus_points ledger { items { amount kind } } }
    }"""
    shown = sysop.ask(document, torrent=torrent["id"])
    name = {"name": "A Film About Ledgers"}
    uploader = {"user": {"username": "alice", "stats": {"uploaded": stats(sysop)["uploaded"]}}}
    assert shown["torrent"] == {**name, "times_completed": 1, "uploader": uploader}
    bounty = {"state": "accepted", "bounty": 120.5, "bounties": [{"amount": 120.5}]}
    assert shown["requests"]["items"] == [{**bounty, "requester": {"username": "bob"}, "torrent": name}]
    case = {"state": "decided", "outcome": "dismissed", "moderator": {"user": {"group": "moderator"}}}
    assert shown["cases"]["items"] == [{**case, "subject": {"torrent": name}}]
    assert shown["audit_entries"]["items"] == [{"actor": {"username": "alice"}, "subject": {"torrent": name}}]
    assert shown["own_account"] == {
        "bonus_points": 120.5,
        "ledger": {"items": [{"amount": 120.5, "kind": "bounty_paid"}]},
    }


def rebuild_everything(site: Site) -> None:
    verified = site.tracker("projections", "verify", "--all")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.strip().endswith(" 0 differences")
    rebuilt = site.tracker("projections", "rebuild", "--all")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    again = site.tracker("projections", "verify", "--all")
    assert again.stdout.strip().splitlines()[-1] == verified.stdout.strip().splitlines()[-1]


def stats(api: Api) -> Any:
    return api.get(f"/users/{api.id}/stats")


def shows(api: Api, torrent: Any, **expected: int) -> Any:
    detail = api.get(f"/torrents/{torrent['id']}")
    return detail if all(detail[name] == value for name, value in expected.items()) else None
