"""Real BitTorrent clients: libtorrent sessions on the loopback interface that talk to a real edge."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt

SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "ssrf_mitigation": False,
    "allow_multiple_connections_per_ip": True,
    "min_announce_interval": 1,
    "tracker_backoff": 10,
    "alert_mask": lt.alert.category_t.tracker_notification | lt.alert.category_t.error_notification,
}


def make_torrent(folder: Path, name: str, size: int, flags: int = lt.create_torrent.v1_only) -> bytes:
    """Write a file of random content and return a .torrent of it; `flags` choose v1, v2 or hybrid (0)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(os.urandom(size))
    torrent = lt.create_torrent(lt.list_files(str(folder / name)), 0, flags)
    torrent.set_priv(True)
    lt.set_piece_hashes(torrent, str(folder))
    return bytes(lt.bencode(torrent.generate()))


#: A user whose client shows a tracker error presses "update tracker" after so long.
UPDATE_TRACKER_S = 3.0


class Client:
    """One session with one torrent."""

    def __init__(self, port: int, torrent: bytes, folder: Path, host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings: Any = {**SETTINGS, "listen_interfaces": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
        self.session = lt.session(settings)
        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(folder)
        # An auto-managed torrent would be resumed by the session after it was paused.
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        self.handle = self.session.add_torrent(params)
        self.messages: list[str] = []

    @property
    def status(self) -> Any:
        self.messages += [f"{alert.what()}: {alert.message()}" for alert in self.session.pop_alerts()]
        return self.handle.status()

    def wait(self, reached: Callable[[Any], bool], timeout_s: float, why: str) -> Any:
        deadline, update_at = time.monotonic() + timeout_s, time.monotonic() + UPDATE_TRACKER_S
        while not reached(status := self.status):
            assert time.monotonic() < deadline, f"{why}; the client says: {self.messages[-12:]}"
            if time.monotonic() > update_at and not self._replies():
                self.handle.force_reannounce()
                update_at += UPDATE_TRACKER_S
            time.sleep(0.1)
        return status

    def announced(self) -> bool:
        """Whether a tracker has answered an announce of this client."""
        return bool(self.status and any("tracker_reply" in message for message in self.messages))

    def stop(self) -> tuple[int, int]:
        """Send `stopped`, wait for its answer; returns the payload bytes (uploaded, downloaded) that it reported."""
        moved = self.status.total_payload_upload, self.status.total_payload_download
        replies = self._replies()
        self.handle.pause()
        deadline = time.monotonic() + 10
        while self._replies() == replies and time.monotonic() < deadline:
            time.sleep(0.1)
        return moved

    def _replies(self) -> int:
        return sum("tracker_reply" in message for message in self.messages) if self.status else 0
