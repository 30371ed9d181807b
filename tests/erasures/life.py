"""A site with somebody who leaves a trace wherever there can be one."""

from __future__ import annotations

from uuid import UUID

from fastapi import FastAPI

from domain.announces import Event
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member
from tests.peers.edges import ShippingEdge, announce

NAME, MAIL, PROGRAM = "Zq7Name", "zq7mail@zq7.example.org", "Zq7Agent/9.75"
ADDRESS = "203.0.113.177"
KEY, WORDS, APPEAL = "zq7 key of a laptop", "zq7 saw this before", "zq7 begs to differ"
MARKERS = (NAME, MAIL, PROGRAM, ADDRESS, KEY, WORDS, APPEAL)


class Life:
    """One person who leaves a trace wherever there can be one, and another one who does the same."""

    def __init__(self, client: Client, app: FastAPI) -> None:
        self.client, self.app, self.members = client, app, client.members
        self.moderator = self.members.join("moddie", "moderator")
        self.zq7 = self.lives(NAME, MAIL, ADDRESS, PROGRAM, KEY, WORDS, APPEAL)
        self.other = self.lives("Grace", "grace@example.org", "203.0.113.5", "curl/8", "a key", "too loud", "it was me")

    def lives(self, name: str, mail: str, address: str, program: str, key: str, words: str, appeal: str) -> Member:
        with TestClient(self.app, client=(address, 4711), headers={"User-Agent": program}) as site:
            newcomer = {"username": name, "email": mail, "password": PASSWORD}
            headers = {"Idempotency-Key": "0199a4f0-0000-7000-8000-0000000000aa"} if name == NAME else {}
            registered = site.post("/api/v1/auth/register", json=newcomer, headers=headers)
            assert registered.status_code == 201, registered.text
            confirmed = site.post(
                "/api/v1/auth/verify-email",
                json={"token": links(mails(self.members.platform, mail)[0])["verify-email"]},
            )
            assert confirmed.status_code == 200, confirmed.text
            signed_in = site.post("/api/v1/auth/login", json={"username": name, "password": PASSWORD})
            assert signed_in.status_code == 200, signed_in.text
            member = self.members.sign_in(UUID(registered.json()["id"]), name)
            client = Client(self.members, site)
            client.post(member, "/users/me/api-keys", {"name": key, "scopes": ["read"]})
            about = {"subject_type": "user", "subject_id": str(self.moderator.id), "reason": "rude", "text": words}
            assert client.post(member, "/reports", about).status_code == 201
            self.is_reported_and_appeals(client, member, appeal)
            client.get(member, "/search/users", q=name)
        member.uploads(f"A Film of {member.id}")
        member.earns(5_000)
        octets = bytes(map(int, address.split(".")))
        edge = ShippingEdge(self.members.platform, f"edge-{member.id}")
        edge.ship([announce(0, Event.STARTED, user=member.id, left=9, address=octets)])
        edge.ship([announce(60, up=700, user=member.id, left=9, address=octets)])
        return member

    def is_reported_and_appeals(self, client: Client, member: Member, appeal: str) -> None:
        about = {"subject_type": "user", "subject_id": str(member.id), "reason": "loud", "text": "a complaint"}
        complainer = self.members.join(f"loud-{len(str(member.id))}{member.username[:2]}")
        case = self.client.post(complainer, "/reports", about).json()["case_id"]
        self.client.post(self.moderator, f"/moderation/cases/{case}/decision", {"outcome": "upheld", "reason": "it is"})
        assert client.post(member, f"/moderation/cases/{case}/appeal", {"text": appeal}).status_code == 200
