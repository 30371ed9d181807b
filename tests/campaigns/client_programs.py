"""BitTorrent programs as processes, each told what to do by its own remote interface, on loopback addresses only."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import httpx

from tests.bittorrent import Client
from tests.site import eventually, free_ports

#: Each transfer has programs of its own, so what is slow to come up has not come up at all.
START_TIMEOUT_S = 20.0

ALL_VERSIONS = ("v1", "v2", "hybrid")
#: qBittorrent 4.4 is the first that is built with libtorrent 2.
FIRST_WITH_V2 = (4, 4)


class Report(NamedTuple):
    """What a program says of its torrent. Bytes of payload in this session; `told` is the tracker's last message."""

    done: bool
    uploaded: int
    downloaded: int
    told: str = ""


class Program(ABC):
    """One program with one torrent. `stop` ends the torrent, so that `stopped` is announced; `end` the program."""

    name: ClassVar[str]
    #: Whether it sends the path of a UDP tracker's URL (BEP 41), which is where the key is.
    sends_url_data: ClassVar[bool] = False
    #: Whether it connects to peers on loopback addresses; who does not waits to be connected to.
    dials_loopback: ClassVar[bool] = True

    @classmethod
    def reads(cls) -> tuple[str, ...]:
        """The kinds of torrents that it takes."""
        return ("v1",)

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Whether this machine has the program."""

    @abstractmethod
    def __init__(self, state: Path, host: str) -> None:
        """Comes up with its state in a new folder, listening on `host`, 127.0.0.1 or ::1."""

    @abstractmethod
    def add(self, torrent: bytes, folder: Path) -> None:
        """Takes the torrent; a folder that has the file is checked and seeded."""

    @abstractmethod
    def report(self) -> Report: ...

    @abstractmethod
    def update_tracker(self) -> None:
        """Announces again now, as a user may ask for; nothing where the program has no such command."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def end(self) -> None: ...


class Process(Program):
    """A program of Debian's: `command` is run, `rpc_port` is where it takes orders."""

    binary: ClassVar[str]

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.binary) is not None

    def __init__(self, state: Path, host: str) -> None:
        self.state, self.host = state, host
        state.mkdir(parents=True)
        self.rpc_port, self.peer_port = free_ports(2)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.rpc_port}", timeout=10, trust_env=False)
        with (state / "output.log").open("wb") as output:
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        eventually(lambda: self._answers(), START_TIMEOUT_S, f"{self.name} comes up")

    @abstractmethod
    def command(self) -> list[str]:
        """Writes the settings that it needs; returns its command line."""

    @abstractmethod
    def ping(self) -> object:
        """Any order that is answered once the program is up."""

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.http.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended: {(self.state / 'output.log').read_text()[-1000:]}"
        with suppress(httpx.HTTPError):
            self.ping()
            return True
        return False


class Transmission(Process):
    """transmission-daemon by its RPC; 3.00 takes 127.0.0.0/8 and ::1 for no addresses of peers (`isMartianAddr`)."""

    name = "transmission"
    binary = "transmission-daemon"
    dials_loopback = False
    session = ""

    def command(self) -> list[str]:
        settings = {
            "rpc-port": self.rpc_port, "rpc-bind-address": "127.0.0.1", "rpc-authentication-required": False,
            "peer-port": self.peer_port, "peer-port-random-on-start": False, "port-forwarding-enabled": False,
            "dht-enabled": False, "lpd-enabled": False, "pex-enabled": False, "utp-enabled": False,
            "bind-address-ipv6": "::1", "ratio-limit-enabled": False, "idle-seeding-limit-enabled": False,
        }  # fmt: skip
        if ":" not in self.host:  # else its announces would come from there too
            settings["bind-address-ipv4"] = self.host
        (self.state / "settings.json").write_text(json.dumps(settings))
        return [self.binary, "--foreground", "--log-info", "--config-dir", str(self.state)]

    def ping(self) -> object:
        return self._ask("session-get")

    def add(self, torrent: bytes, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ask("torrent-add", metainfo=base64.b64encode(torrent).decode(), **{"download-dir": str(folder)})

    def report(self) -> Report:
        fields = ["percentDone", "status", "uploadedEver", "downloadedEver", "trackerStats"]
        (found,) = self._ask("torrent-get", fields=fields)["torrents"]
        told = " ".join(tracker["lastAnnounceResult"] for tracker in found["trackerStats"])
        done = found["percentDone"] == 1 and found["status"] in (0, 6)  # stopped, seeding
        return Report(done, found["uploadedEver"], found["downloadedEver"], told)

    def update_tracker(self) -> None:
        self._ask("torrent-reannounce")

    def stop(self) -> None:
        self._ask("torrent-stop")

    def _ask(self, method: str, **arguments: object) -> Any:
        body = {"method": method, "arguments": arguments}
        for _ in range(2):
            answer = self.http.post("/transmission/rpc", json=body, headers={"X-Transmission-Session-Id": self.session})
            if answer.status_code != 409:
                break
            self.session = answer.headers["X-Transmission-Session-Id"]
        shown = answer.raise_for_status().json()
        assert shown["result"] == "success", f"transmission: {method}: {shown['result']}"
        return shown["arguments"]


class QBittorrent(Process):
    """qbittorrent-nox by its WebUI API."""

    name = "qbittorrent"
    binary = "qbittorrent-nox"
    sends_url_data = True

    @classmethod
    def reads(cls) -> tuple[str, ...]:
        said = subprocess.run([cls.binary, "--version"], capture_output=True, text=True, check=True).stdout
        (number,) = re.findall(r"v(\d+)\.(\d+)", said)
        return ALL_VERSIONS if tuple(map(int, number)) >= FIRST_WITH_V2 else ("v1",)

    def command(self) -> list[str]:
        folder = self.state / "qBittorrent" / "config"
        folder.mkdir(parents=True)
        (folder / "qBittorrent.conf").write_text(
            "[LegalNotice]\nAccepted=true\n"
            "[Network]\nPortForwardingEnabled=false\n"
            f"[BitTorrent]\nSession\\Port={self.peer_port}\nSession\\InterfaceAddress={self.host}\n"
            "Session\\DHTEnabled=false\nSession\\LSDEnabled=false\nSession\\PeXEnabled=false\n"
            "Session\\QueueingSystemEnabled=false\nSession\\SSRFMitigation=false\n"
            "Session\\MultiConnectionsPerIp=true\n"
            f"[Preferences]\nWebUI\\Address=127.0.0.1\nWebUI\\Port={self.rpc_port}\nWebUI\\LocalHostAuth=false\n"
            "WebUI\\CSRFProtection=false\nConnection\\ResolvePeerCountries=false\n"
        )
        return [self.binary, f"--profile={self.state}", f"--webui-port={self.rpc_port}"]

    def ping(self) -> object:
        return self._get("app/version")

    def add(self, torrent: bytes, folder: Path) -> None:
        files = {"torrents": ("x.torrent", torrent, "application/x-bittorrent")}
        self._post("torrents/add", {"savepath": str(folder)}, files)

    def report(self) -> Report:
        found = self._get("torrents/info").json()
        if not found:  # taken, not there yet
            return Report(False, 0, 0)
        shown = found[0]
        trackers = self._get("torrents/trackers", hash=shown["hash"]).json()
        told = " ".join(tracker["msg"] for tracker in trackers if tracker["msg"])
        moving = self._get("torrents/properties", hash=shown["hash"]).json()
        done = shown["progress"] == 1 and shown["state"] in ("uploading", "stalledUP", "pausedUP")
        return Report(done, moving["total_uploaded_session"], moving["total_downloaded_session"], told)

    def update_tracker(self) -> None:
        self._post("torrents/reannounce", {"hashes": "all"})

    def stop(self) -> None:
        self._post("torrents/pause", {"hashes": "all"})

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        return self.http.get(f"/api/v2/{path}", params=parameters).raise_for_status()

    def _post(self, path: str, data: dict[str, str], files: Any = None) -> None:
        self.http.post(f"/api/v2/{path}", data=data, files=files).raise_for_status()


class Aria2(Process):
    """aria2c by its JSON-RPC. It has no command to announce again, so it is given an interval of seconds."""

    name = "aria2"
    binary = "aria2c"
    gid = ""
    had = 0
    uploaded = 0

    def command(self) -> list[str]:
        (self.udp_port,) = free_ports(1)
        options = {
            "enable-rpc": "true", "rpc-listen-port": self.rpc_port, "listen-port": self.peer_port,
            "interface": self.host, "disable-ipv6": str(":" not in self.host).lower(), "async-dns": "false",
            "enable-dht": "true",  # or it has no UDP trackers; without nodes in the file it asks nobody
            "dht-file-path": self.state / "dht.dat", "dht-listen-port": self.udp_port,
            "enable-dht6": "false", "bt-enable-lpd": "false", "enable-peer-exchange": "false",
            "bt-tracker-interval": 2, "seed-ratio": "0.0", "check-integrity": "true", "file-allocation": "none",
            "log": self.state / "log", "log-level": "info", "dir": self.state, "console-log-level": "error",
        }  # fmt: skip
        return [self.binary, "--no-conf", *(f"--{name}={value}" for name, value in options.items())]

    def ping(self) -> object:
        return self._ask("getVersion")

    def add(self, torrent: bytes, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.had = sum(path.stat().st_size for path in folder.iterdir())
        self.gid = self._ask("addTorrent", base64.b64encode(torrent).decode(), [], {"dir": str(folder)})

    def report(self) -> Report:
        """Counts what it has and had not at first; a paused torrent's `uploadLength` is 0, so the highest counts."""
        found = self._ask("tellStatus", self.gid)
        has = int(found["completedLength"])
        done = has == int(found["totalLength"]) and found.get("seeder") == "true"
        log = (self.state / "log").read_text(errors="replace")
        told = " ".join(re.findall("(?:failure reason: |error_string=)(.*)", log)[-1:])  # over HTTP, over UDP
        self.uploaded = max(self.uploaded, int(found["uploadLength"]))
        return Report(done, self.uploaded, has - self.had, told)

    def update_tracker(self) -> None:
        pass

    def stop(self) -> None:
        self.report()
        self._ask("pause", self.gid)

    def _ask(self, method: str, *parameters: object) -> Any:
        body = {"jsonrpc": "2.0", "id": "1", "method": f"aria2.{method}", "params": parameters}
        return self.http.post("/jsonrpc", json=body).raise_for_status().json()["result"]


class LibTorrent(Program):
    """libtorrent in this process, the other side of most transfers."""

    name = "libtorrent"
    sends_url_data = True
    client: Client | None = None

    @classmethod
    def installed(cls) -> bool:
        return True

    @classmethod
    def reads(cls) -> tuple[str, ...]:
        return ALL_VERSIONS

    def __init__(self, state: Path, host: str) -> None:
        self.host = host

    def add(self, torrent: bytes, folder: Path) -> None:
        self.client = Client(free_ports(1)[0], torrent, folder, self.host)

    @property
    def _running(self) -> Client:
        assert self.client is not None, "a torrent was added"
        return self.client

    def report(self) -> Report:
        status = self._running.status
        told = " ".join(message for message in self._running.messages if "error" in message)
        return Report(status.is_seeding, status.total_payload_upload, status.total_payload_download, told)

    def update_tracker(self) -> None:
        self._running.handle.force_reannounce()

    def stop(self) -> None:
        self._running.stop()

    def end(self) -> None:
        if self.client is not None:
            self.client.session.pause()


DEBIAN: tuple[type[Process], ...] = (Transmission, QBittorrent, Aria2)


def wait_for(reached: Callable[[], bool], nudged: tuple[Program, ...], timeout_s: float, why: str) -> None:
    """Until something holds; meanwhile the programs are told to announce again every other second."""
    deadline, nudge_at = time.monotonic() + timeout_s, time.monotonic() + 2
    while not reached():
        reports = {program.name: program.report() for program in nudged}
        assert time.monotonic() < deadline, f"still waiting after {timeout_s:g} s: {why}; {reports}"
        if time.monotonic() > nudge_at:
            for program in nudged:
                program.update_tracker()
            nudge_at += 2
        time.sleep(0.1)
