"""Two hundred hostile texts, shown by a real browser as the site hands them out: does one run a script, or fetch?

`python -m tests.campaigns.markup`: needs a Chromium; two minutes. Every payload has hosts of its own, and the browser's
proxy is a listener that hears of each of them. The same payloads bare are shown first, so that a deaf listener is
noticed.
"""

from __future__ import annotations

import html
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import httpx

from domain.profiles import TITLE_MAX
from runtime.http.middleware import SECURITY_HEADERS
from tests.runtime.hostile_markup import listener, payloads
from tests.site import Api, Site, running
from tests.torrents.uploads import file_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Milliseconds of the page's own time.
BUDGET_MS = 4000
#: Of the bare payloads, at least so many are heard: the others are attacks as Markdown alone, or need a click.
HEARD_MIN = 60
#: Texts that are tried where each takes a start of the browser.
SOME = 12
PASSED_ON = {"content-type", *(name.lower() for name in SECURITY_HEADERS)}


class Figures(NamedTuple):
    bare: int
    shown: int
    pages: int


class Listener(ThreadingHTTPServer):
    """The proxy of the browser, and where it finds the pages: `heard` are the hosts that anything was asked of."""

    daemon_threads = True

    def __init__(self, api: httpx.Client) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api
        self.pages: dict[str, str] = {}
        self.heard: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take_heard(self) -> set[str]:
        """The hosts of payloads since this was last asked."""
        known = {host for number in range(len(payloads())) for host in listener(number)}
        heard, self.heard = self.heard & known, set()
        return heard


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        if not self.path.startswith("/"):
            self._hear(urlsplit(self.path).hostname or "")
            self._answer(200, {"Content-Type": "text/plain", "Access-Control-Allow-Origin": "*"}, b"")
        elif self.path in self.server.pages:
            self._answer(200, {"Content-Type": "text/html; charset=utf-8"}, self.server.pages[self.path].encode())
        elif self.path.startswith("/api/"):
            answer = self.server.api.get(self.path)
            passed_on = {name: value for name, value in answer.headers.items() if name in PASSED_ON}
            self._answer(answer.status_code, passed_on, answer.content)
        else:
            self._answer(404, {}, b"")

    def do_CONNECT(self) -> None:
        self._hear(self.path.rpartition(":")[0])
        self._answer(502, {}, b"")

    def log_message(self, *_: Any) -> None:
        pass

    def _hear(self, host: str) -> None:
        self.server.heard.add(host)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def listening(api: httpx.Client) -> Iterator[Listener]:
    server = Listener(api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit("this campaign needs a Chromium: apt-get install chromium")
    return found


def show(server: Listener, url: str, folder: Path) -> None:
    """Open the page, and wait until its time is over."""
    shown = subprocess.run(
        [
            browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            f"--user-data-dir={folder}", f"--proxy-server={server.url}", f"--virtual-time-budget={BUDGET_MS}",
            "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert "<body" in shown.stdout, f"{url[:200]}: nothing was shown"


def framed(texts: list[str]) -> str:
    """A page on which none of the texts swallows the next one."""
    frames = "".join(f'<iframe srcdoc="{html.escape(text)}"></iframe>' for text in texts)
    return f"<!DOCTYPE html><title>texts</title>{frames}"


def as_shown(member: Api) -> list[str]:
    """What the site makes of each payload in a profile."""
    found = []
    for payload in payloads():
        member.send("PUT", "/users/me/profile", None, json={"title": "", "bio": payload})
        found.append(member.get(f"/users/{member.id}")["profile"]["bio_html"])
    return found


def plant(sysop: Api, member: Api) -> list[str]:
    """Payloads as titles and names, and paths of answers that have them."""
    short = [payload for payload in payloads() if len(payload) <= TITLE_MAX and "\n" not in payload][:SOME]
    for n, text in enumerate(short):
        data = {"name": text, "description": payloads()[n], "category": "movies-hd", "tags": "a", "anonymous": "false"}
        file = ("x.torrent", file_of(f"markup-{n}"), "application/x-bittorrent")
        made = sysop.post("/torrents", files={"file": file}, data=data)
        if made["status"] == "pending":
            sysop.post(f"/torrents/{made['id']}/approve")
    member.send("PUT", "/users/me/profile", None, json={"title": short[0], "bio": payloads()[0]})
    sysop.post(f"/users/{member.id}/notes", {"text": payloads()[1]})
    member.position = sysop.position = max(member.position, sysop.position)
    feed = urlsplit(member.get("/users/me/rss-key")["feed_urls"][0])
    own = [f"/users/{member.id}", "/torrents", *(f"/search/torrents?q={quote(text)}" for text in short[:4])]
    wrong = [f"/torrents/{quote(text, safe='')}" for text in short[:4]] + [f"/users?{quote(short[0])}=x"]
    return [f"{feed.path}?{feed.query}", *(f"/api/v1{path}" for path in own + wrong)]


def campaign(site: Site, folder: Path) -> Figures:
    sysop, member = site.sysop(), site.register("member")
    with listening(httpx.Client(base_url=site.url, headers=dict(member.http.headers))) as server:
        server.pages = {"/bare": framed(payloads()), "/shown": framed(as_shown(member))}
        show(server, f"{server.url}/bare", folder / "browser")
        bare = server.take_heard()
        assert len(bare) >= HEARD_MIN, f"a listener that hears {len(bare)} of {len(payloads())} is deaf"
        urls = [f"{server.url}/shown", *(server.url + path for path in plant(sysop, member))]
        urls += [f"{site.url}/#{purpose}={quote(text)}" for text in payloads()[:SOME] for purpose in ("invite", "x")]
        urls += [
            f"{site.url}/graphql/playground#{quote(payloads()[0])}",
            f"{site.url}/graphql/playground?query={quote(payloads()[5])}",
        ]
        for url in urls:
            show(server, url, folder / "browser")
            heard = server.take_heard()
            assert not heard, f"{url[:200]}: {sorted(heard)}"
        return Figures(len(bare), len(payloads()), len(urls))


def main() -> None:
    version = subprocess.run([browser(), "--version"], capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        figures = campaign(site, Path(folder))
    sys.stdout.write(
        f"{version}: {figures.shown} payloads, which shown bare make {figures.bare} of their hosts hear of them; on"
        f" {figures.pages} pages of the site 0 scripts ran and 0 requests left\n"
    )


if __name__ == "__main__":
    main()
