"""The configurations under ops/: well formed, and each balancer gives a torrent to one edge and goes on without it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

import bencodepy
import pytest
import uvloop

from tests.site import free_ports
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HYBRID, get, running, target

OPS = Path(__file__).parent.parent.parent / "ops"
NGINX = OPS / "nginx" / "tracker.conf"
HAPROXY = OPS / "haproxy" / "tracker.cfg"
TORRENTS = (FILM, BOOK, HYBRID)


def nginx_statements(text: str) -> list[str]:
    """The directives, when every one ends and every block closes."""
    bare = re.sub(r"#[^\n]*", "", text)
    assert bare.count("{") == bare.count("}")
    return [" ".join(part.split()) for part in re.split(r"[;{}]", bare) if part.strip()]


def nginx_command(folder: Path, port: int, edges: list[int]) -> list[str]:
    """Runs the configuration with other addresses and nothing else changed."""
    path = folder / "nginx.conf"
    text = _with_edges(NGINX.read_text().replace("listen 6969", f"listen 127.0.0.1:{port}"), edges)
    path.write_text(f"daemon off;\npid {folder}/nginx.pid;\n{text}")
    return ["nginx", "-p", str(folder), "-c", str(path)]


def haproxy_command(folder: Path, port: int, edges: list[int]) -> list[str]:
    """As `nginx_command`; the limit of connections is the machine's to grant."""
    path = folder / "haproxy.cfg"
    text = HAPROXY.read_text().replace("bind :6969", f"bind 127.0.0.1:{port}").replace("maxconn 100000", "maxconn 1000")
    path.write_text(_with_edges(text, edges))
    return ["haproxy", "-db", "-f", str(path)]


def _with_edges(text: str, edges: list[int]) -> str:
    for number, edge in enumerate(edges, start=1):
        address = f"10.0.0.1{number}:6969"
        assert address in text
        text = text.replace(address, f"127.0.0.1:{edge}")
    return text


def test_nginx_configuration_keeps_keys_out_of_logs_and_addresses_honest(tmp_path: Path) -> None:
    statements = nginx_statements(NGINX.read_text())
    for wanted in (
        "access_log off",
        "hash $arg_info_hash consistent",
        "proxy_pass http://edges",
        "proxy_set_header X-Forwarded-For $remote_addr",
    ):
        assert wanted in statements
    if shutil.which("nginx"):
        command = [*nginx_command(tmp_path, free_ports(1)[0], [1, 2]), "-t", "-q"]
        checked = subprocess.run(command, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_haproxy_configuration_does_the_same() -> None:
    text = HAPROXY.read_text()
    sections = re.findall(r"^(global|defaults|frontend \w+|backend \w+)$", text, re.MULTILINE)
    assert sections == ["global", "defaults", "frontend tracker", "backend edges"]
    for wanted in ("no log", "set-header X-Forwarded-For %[src]", "balance hash urlp(info_hash),url_dec"):
        assert wanted in text
    assert len(re.findall(r"^    server edge-\d 10\.0\.0\.1\d:6969$", text, re.MULTILINE)) == 2
    if shutil.which("haproxy"):
        checked = subprocess.run(["haproxy", "-c", "-f", str(HAPROXY)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("command", [nginx_command, haproxy_command], ids=["nginx", "haproxy"])
def test_one_torrent_has_one_edge_behind_a_balancer_until_that_is_gone(
    tmp_path: Path, command: Callable[[Path, int, list[int]], list[str]]
) -> None:
    """Without the balancer on the machine the edges are asked directly, so that the rest is still tried."""
    proxy = ip_network("127.0.0.1/32")

    async def work() -> None:
        async with running(tmp_path / "one", trusted_proxies=(proxy,)) as one, AsyncExitStack() as both:
            two = await both.enter_async_context(running(tmp_path / "two", trusted_proxies=(proxy,)))
            port = free_ports(1)[0]
            balancer = await started(command(tmp_path, port, [one.ports[0], two.ports[0]]), port)
            entry = port if balancer else one.ports[0]
            try:
                for number in range(20):
                    for torrent_id in TORRENTS:
                        assert "interval" in await ask(entry, number, torrent_id)
                for torrent_id in TORRENTS:
                    counts = [edge.swarms.counts(torrent_id.bytes).incomplete for edge in (one, two)]
                    assert sorted(counts) == [0, 20]
                await get(entry, target(50, EVE), "X-Forwarded-For: 9.9.9.9\r\n")
                peers = await get(entry, target(51, BOB, compact="0"))
                assert (b"9.9.9.9" in peers) is (balancer is None), "the balancer puts the client's address there"
                await both.aclose()
                for torrent_id in TORRENTS:
                    assert "interval" in await ask(entry, 60, torrent_id), "the other edge takes over"
                    assert one.swarms.counts(torrent_id.bytes).incomplete > 0
            finally:
                if balancer:
                    balancer.terminate()
                    await asyncio.to_thread(balancer.wait)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    uvloop.run(work())


async def started(command: list[str], port: int) -> subprocess.Popen[bytes] | None:
    """The balancer, answering; None where it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    process = subprocess.Popen(command)
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return process
        except OSError:
            await asyncio.sleep(0.05)
    process.kill()
    raise AssertionError(f"{command[0]} does not answer")


async def ask(port: int, number: int, torrent_id: UUID) -> set[str]:
    """The keys of the answer to an announce."""
    return {key.decode() for key in bencodepy.decode(await get(port, target(number, ANN, torrent_id)))}
