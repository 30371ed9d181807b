"""Mail leaves when its command is done, once, through a real server or into the folder, and cannot be made another."""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from runtime.cli.mail import mail_commands
from runtime.mail import Mail, message, post
from runtime.mail_bounds import Occasion
from runtime.mail_delivery import PAUSES, deliver
from runtime.platform import Platform
from runtime.settings import Settings
from tests.given import rows_of
from tests.mailbox import mails

NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
TO = "alice@example.org"


class Inbox:
    """Handler of a server: keeps what it takes; `answers` are given to the next recipients instead of a yes."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answers: list[str] = []
        self.on_data = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.on_data.startswith("250"):
            self.taken.append(envelope)
        return self.on_data


class OnAnyPort(Controller):
    """The library's own, which asks whether it runs at the port that it was told: 0 is none."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def server(inbox: Inbox, **options: Any) -> Iterator[int]:
    """A real SMTP server on a free port."""
    controller = OnAnyPort(inbox, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def through(platform: Platform, settings: Settings) -> Callable[..., Platform]:
    """The platform with its mail set otherwise."""

    def change(url: str, **mail: Any) -> Platform:
        values = {"url": url, "sender": "noreply@tracker.example", **mail}
        platform.settings = Settings.model_validate({**settings.model_dump(), "mail": values})
        return platform

    return change


def send(platform: Platform, subject: str = "Confirm your address", text: str = "Hello.\n", to: str = TO) -> UUID:
    with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        mail_id = post(cursor, platform.settings, to=to, subject=subject, text=text, occasion=Occasion.OWNER)
    assert mail_id is not None
    return mail_id


def soon(platform: Platform, after: timedelta = timedelta()) -> int:
    return deliver(platform.pool, platform.settings, datetime.now(UTC) + timedelta(seconds=1) + after)


def queue(platform: Platform) -> list[tuple[Any, ...]]:
    return rows_of(platform, "SELECT tries, error, dead_at IS NOT NULL FROM credentials.mail ORDER BY mail_id")


def delivered(platform: Platform) -> list[tuple[Any, ...]]:
    return rows_of(platform, "SELECT sum(mails)::int FROM credentials.mail_delivered")


@pytest.mark.engine
def test_a_mail_leaves_once_and_only_its_count_stays(through: Callable[..., Platform], inbox: Inbox) -> None:
    with server(inbox) as port:
        platform = through(f"smtp://127.0.0.1:{port}")
        mail_id = send(platform, text="A link:\n\nhttps://tracker.example/#x=1\n")
        send(platform, to="bob@example.org")
        assert (soon(platform), soon(platform)) == (2, 0)
    first, second = inbox.taken
    assert (first.mail_from, first.rcpt_tos, second.rcpt_tos) == ("noreply@tracker.example", [TO], ["bob@example.org"])
    assert isinstance(first.content, bytes)
    got = message_from_bytes(first.content, policy=policy.default)
    assert (got["To"], got["Subject"], got["Auto-Submitted"]) == (TO, "Confirm your address", "auto-generated")
    assert got["Message-ID"] == f"<{mail_id}@tracker.example>"
    assert got.get_content().splitlines() == ["A link:", "", "https://tracker.example/#x=1"]
    assert (queue(platform), delivered(platform)) == ([], [(2,)])


@pytest.mark.engine
def test_a_command_that_fails_mails_nothing(platform: Platform) -> None:
    def fail() -> None:
        with platform.pool.connection() as connection, connection.transaction():
            post(connection.cursor(), platform.settings, to=TO, subject="Hello", text="", occasion=Occasion.OWNER)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert mails(platform) == []


@pytest.mark.engine
def test_waiting_mail_can_be_read_by_nobody_without_the_key(platform: Platform) -> None:
    send(platform, text="a secret link")
    ((sealed,),) = rows_of(platform, "SELECT sealed FROM credentials.mail")
    assert b"alice" not in sealed
    assert b"secret" not in sealed


@pytest.mark.engine
def test_what_fails_is_tried_again_with_growing_pauses_until_it_is_dead(
    through: Callable[..., Platform], inbox: Inbox
) -> None:
    platform = through("smtp://127.0.0.1:1")
    send(platform)
    at = timedelta()
    for tries, pause in enumerate(PAUSES, start=1):
        assert soon(platform, at) == 0
        assert queue(platform) == [(tries, "ConnectionRefusedError", False)]
        soon(platform, at + pause - timedelta(seconds=5))
        assert queue(platform)[0][0] == tries, "before its time nobody tries"
        at += pause + timedelta(seconds=5)
    soon(platform, at)
    assert queue(platform) == [(len(PAUSES) + 1, "ConnectionRefusedError", True)]
    with server(inbox) as port:
        through(f"smtp://127.0.0.1:{port}")
        soon(platform, at + timedelta(days=2))
        assert inbox.taken == []
    soon(platform, at + timedelta(days=8))
    assert queue(platform) == [], "dead mail is deleted in the end"


@pytest.mark.engine
def test_a_server_that_comes_back_gets_what_waited_once(through: Callable[..., Platform], inbox: Inbox) -> None:
    platform = through("smtp://127.0.0.1:1")
    send(platform)
    soon(platform)
    with server(inbox) as port:
        through(f"smtp://127.0.0.1:{port}")
        assert [soon(platform, timedelta(minutes=3)), soon(platform, timedelta(minutes=30))] == [1, 0]
    assert len(inbox.taken) == 1


@pytest.mark.engine
@pytest.mark.parametrize(("answer", "dead"), [("450 later", False), ("550 nobody here", True)])
def test_what_a_server_refuses_for_good_is_dead_at_once_and_the_others_leave(
    through: Callable[..., Platform], inbox: Inbox, answer: str, dead: bool
) -> None:
    inbox.answers = [answer]
    with server(inbox) as port:
        platform = through(f"smtp://127.0.0.1:{port}")
        send(platform)
        send(platform, to="bob@example.org")
        assert soon(platform) == 1
    assert queue(platform) == [(1, f"recipient refused: {answer[:3]}", dead)]
    assert [envelope.rcpt_tos for envelope in inbox.taken] == [["bob@example.org"]]


@pytest.mark.engine
def test_a_content_that_is_refused_for_good_is_dead(through: Callable[..., Platform], inbox: Inbox) -> None:
    inbox.on_data = "554 spam"
    with server(inbox) as port:
        platform = through(f"smtp://127.0.0.1:{port}")
        send(platform)
        soon(platform)
    assert queue(platform) == [(1, "mail refused: 554", True)]


@pytest.mark.engine
def test_workers_that_look_at_once_share_the_mails(through: Callable[..., Platform], inbox: Inbox) -> None:
    with server(inbox) as port:
        platform = through(f"smtp://127.0.0.1:{port}")
        for n in range(12):
            send(platform, to=f"user{n}@example.org")
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(lambda _: soon(platform), range(4))) == 12
    assert sorted(to for one in inbox.taken for to in one.rcpt_tos) == sorted(f"user{n}@example.org" for n in range(12))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of `localhost`, and its key; its own authority."""
    folder, key = tmp_path_factory.mktemp("certificate"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(datetime.now(UTC)).not_valid_after(datetime.now(UTC) + timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (folder / "cert.pem").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(plain)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.engine
@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # this server knows STARTTLS only as TLS
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_the_password_is_sent_over_tls_to_a_server_that_proves_who_it_is(
    through: Callable[..., Platform],
    inbox: Inbox,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    logins: list[tuple[bytes, bytes]] = []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        logins.append((data.login, data.password))
        return AuthResult(success=True)

    tls = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}
    login = {"authenticator": check, "auth_required": True, "auth_require_tls": scheme != "smtps"}
    with server(inbox, **tls, **login) as port:
        platform = through(f"{scheme}://us%40er@localhost:{port}", password="s3cret")
        send(platform)
        assert soon(platform) == 0
        assert queue(platform) == [(1, "SSLCertVerificationError", False)]
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate[0]))
        assert soon(platform, timedelta(minutes=5)) == 1
    assert logins == [(b"us@er", b"s3cret")]
    assert len(inbox.taken) == 1


@pytest.mark.engine
def test_a_server_without_starttls_gets_nothing(through: Callable[..., Platform], inbox: Inbox) -> None:
    with server(inbox) as port:
        platform = through(f"smtp+starttls://127.0.0.1:{port}")
        send(platform)
        assert soon(platform) == 0
    assert queue(platform) == [(1, smtplib.SMTPNotSupportedError.__name__, False)]


@pytest.mark.engine
def test_without_a_server_mail_is_files_that_only_the_owner_reads(platform: Platform) -> None:
    send(platform)
    (mail,) = mails(platform)
    assert (mail["To"], mail["From"]) == (TO, "Tracker <tracker@localhost>")
    assert mail.get_content().splitlines() == ["Hello."]
    (path,) = (platform.settings.data_dir / "mail").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("to", ["a@x.org\nBcc: b@x.org", "a@x.org\r\nBcc: b@x.org", "a@x.org, b@x.org", "", "a"])
def test_no_address_is_two_addresses_or_a_header(to: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        Mail(to, "Hello", "")


@given(st.text(max_size=60), st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@examples(max_examples=200, deadline=None)
def test_no_subject_and_no_text_makes_another_header(subject: str, text: str) -> None:
    """F5: what a stranger may put into a mail (a name, a note) never becomes a header, a recipient or a second mail."""
    try:
        mail = Mail(TO, subject, text)
        raw = bytes(message(uuid4(), mail, "noreply@tracker.example", NOW))
    except (ValueError, UnicodeError):
        return
    got = message_from_bytes(raw, policy=policy.default)
    assert sorted(name.lower() for name in got.keys()) == sorted(
        ["from", "to", "subject", "date", "message-id", "auto-submitted", "content-type", "content-transfer-encoding",
         "mime-version"]
    )  # fmt: skip
    assert got["To"] == TO


@pytest.fixture
def tracker(platform: Platform) -> Callable[..., str]:
    """`tracker mail …` of this site; returns what it prints."""

    def run(*arguments: str, code: int = 0) -> str:
        commands = mail_commands(lambda: platform.settings, lambda: nullcontext(platform))
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.mark.engine
def test_a_newcomer_finds_the_link_on_the_command_line(platform: Platform, tracker: Callable[..., str]) -> None:
    send(platform, "First", "nothing here\n")
    send(platform, "Second", "the link: https://tracker.example/#verify-email=abc\n")
    mails(platform)
    for listed in (tracker(), tracker("list")):
        assert listed.index("First") < listed.index("Second")
        assert TO in listed
    assert "Subject: Second" in tracker("show", "2")
    assert "#verify-email=abc\n" in tracker("show", "2")
    assert "there are 2 mails" in tracker("show", "3", code=1)


@pytest.mark.engine
def test_what_did_not_leave_is_shown_without_addresses_and_tried_again_on_demand(
    through: Callable[..., Platform], inbox: Inbox, tracker: Callable[..., str]
) -> None:
    inbox.answers = ["550 no"]
    with server(inbox) as port:
        platform = through(f"smtp://127.0.0.1:{port}")
        send(platform)
        soon(platform)
        shown = " ".join(tracker("queue").split())
        assert "dead" in shown
        assert "recipient" in shown
        assert "alice" not in shown
        assert tracker("retry") == "1 mails are tried again\n"
        assert soon(platform) == 1
    assert "APP__MAIL__URL" in tracker("list")
