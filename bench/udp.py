"""How many announces a second one edge answers durably over UDP, beside what the same event loop can echo.

The references of the same run: an echo, which is the edge's own reading and sending loop around a fixed reply of equal
size and nothing else, and opentracker where it is installed (Debian: apt-get install opentracker), asked for so many
peers that its replies are as long as ours. The load is `udp_load.c`, compiled here with `cc`, else one in Python, which
is slower than the edge and says so. `cpu` is what the edge spends for 100,000 announces.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import psutil
import uvloop

from bench.announce import SECRET, USERS, Snapshot, info_hash
from bench.figures import alternate, show
from domain.announce_keys import announce_key
from runtime.settings import Edge as EdgeSettings
from tracker_edge.server import Edge, Following, Sources, nothing_to_restore

NUMWANT = 50
READY_S = 2.0
#: Debian builds it with a list of the torrents that it serves.
OPENTRACKER = "listen.udp 127.0.0.1:{port}\nlisten.tcp 127.0.0.1:{port}\naccess.whitelist {folder}/torrents\n"


async def serve(folder: Path, port: int, torrents: int) -> None:
    def follow(deliver: object) -> Following:
        return Snapshot(torrents, deliver)

    settings = EdgeSettings(http_port=0, udp_port=port, peer_ttl_s=100000, min_interval_s=60)  # none is early
    edge = Edge(settings, folder / "journal", Sources(SECRET, follow, nothing_to_restore, lambda segments: None))
    await edge.start()
    await asyncio.Event().wait()


async def echo(port: int, size: int) -> None:
    """Connects and announces answered without a look at them."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    rest = bytes(size - 8)

    def read() -> None:
        for _ in range(128):
            try:
                datagram, source = bound.recvfrom(4096)
            except BlockingIOError:
                return
            action = b"\0\0\0\0" if len(datagram) == 16 else b"\0\0\0\x01"
            bound.sendto(action + datagram[12:16] + rest, source)

    asyncio.get_running_loop().add_reader(bound, read)
    await asyncio.Event().wait()


class Load:
    """The load generator; `measure` gives announce replies a second and their size."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.size = 0.0
        self.keys = folder / "keys"
        self.keys.write_text("\n".join(announce_key(SECRET, UUID(int=n + 1), 1, None) for n in range(USERS)) + "\n")
        self.program: list[str] = [sys.executable, "-m", "bench.udp", "--python-load"]
        compiler = shutil.which("cc")
        if compiler is not None and not arguments.python:
            binary = folder / "udp_load"
            subprocess.run([compiler, "-O2", "-o", binary, Path(__file__).with_name("udp_load.c")], check=True)
            self.program = [str(binary)]
        else:
            print("no C compiler: the Python load measures itself rather than the edge")

    def measure(self, port: int, numwant: int = NUMWANT, keys: bool = True) -> float:
        wanted = self.arguments
        figures = (port, wanted.seconds, wanted.window, wanted.sockets, wanted.torrents, wanted.peers, numwant)
        command = [*self.program, "127.0.0.1", *map(str, figures), str(self.keys) if keys else "-"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate, size, errors, lost = map(float, output.split())
        if errors or lost > rate * wanted.seconds / 1000:
            print(f"port {port}: {errors:.0f} errors, {lost:.0f} lost")
        self.size = size
        return rate


def python_load(
    port: int, seconds: float, window: int, torrents: int, peers: int, numwant: int, keys: list[str]
) -> None:
    """As udp_load.c, on one socket."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    client.settimeout(0.2)
    client.send(bytes.fromhex("00000417271019800000000000000001"))
    own = client.recv(64)[8:16]
    rest = struct.Struct(">20s20sQQQIIIiH")
    replies = errors = lost = size = under_way = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while under_way < window:
            peer = random.randrange(peers)
            fields = rest.pack(
                info_hash(peer % torrents), b"-qB5100-%012d" % peer, 0, 1000 if peer % 3 else 0, 0, 0, 0, peer, numwant,
                7000 + peer % 50000,
            )  # fmt: skip
            tail = b"\x02\x2a/announce/" + keys[peer % len(keys)].encode() if keys else b""
            client.send(own + b"\0\0\0\x01load" + fields + tail)
            under_way += 1
        try:
            reply = client.recv(4096)
        except TimeoutError:
            lost, under_way = lost + under_way, 0
            continue
        under_way -= 1
        replies, errors, size = replies + (reply[3] == 1), errors + (reply[3] != 1), size + len(reply)
    print(f"{replies / seconds:.0f} {size / max(1, replies):.0f} {errors} {lost}")


def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), arguments.port
        load = Load(folder, arguments)
        processes = {"edge": _start("--serve", name, "--port", port, "--torrents", arguments.torrents)}
        try:
            time.sleep(READY_S)
            load.measure(port)  # fills the swarms, and says how long replies are
            size = round(load.size)
            processes["echo"] = _start("--echo", size, "--port", port + 1)
            measures = {"echo": lambda: load.measure(port + 1), "edge": lambda: load.measure(port)}
            if (tracker := shutil.which("opentracker")) is not None:
                (folder / "opentracker.conf").write_text(OPENTRACKER.format(port=port + 2, folder=folder))
                (folder / "torrents").write_text("".join(f"{info_hash(n).hex()}\n" for n in range(arguments.torrents)))
                (folder / "torrents").chmod(0o644)
                folder.chmod(0o755)  # it reads the list as another user
                processes["opentracker"] = subprocess.Popen([tracker, "-f", folder / "opentracker.conf"])
                measures["opentracker"] = lambda: load.measure(port + 2, keys=False)
            else:
                print("opentracker is not installed (Debian: apt-get install opentracker)")
            time.sleep(READY_S)
            edge = psutil.Process(processes["edge"].pid)
            before = edge.cpu_times()
            figures = alternate(arguments.repeats, measures)
            after = edge.cpu_times()
            show(f"UDP announces, replies of {size} bytes", figures, "echo", "replies/s")
            answered = sum(figures["edge"]) * arguments.seconds
            spent = after.user + after.system - before.user - before.system
            print(f"cpu: {spent / answered * 1e5:.2f} s for 100,000 durable announces")
            if any(figures.get("opentracker", ())):
                ratio = sum(figures["edge"]) / sum(figures["opentracker"])
                print(f"edge to opentracker ({load.size:.0f} bytes a reply in its last round): {ratio:.2f}")
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()


def _start(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench.udp", *map(str, words)], cwd=os.getcwd())


def main() -> None:
    if sys.argv[1:2] == ["--python-load"]:
        _, port, seconds, window, _, torrents, peers, numwant, path = sys.argv[2:]
        keys = Path(path).read_text().split() if path != "-" else []
        python_load(int(port), float(seconds), int(window), int(torrents), int(peers), int(numwant), keys)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--window", type=int, default=64, help="announces under way on a socket")
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--torrents", type=int, default=100)
    parser.add_argument("--peers", type=int, default=10000)
    parser.add_argument("--port", type=int, default=17979)
    parser.add_argument("--python", action="store_true", help="the load in Python even where there is a C compiler")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(Path(arguments.serve), arguments.port, arguments.torrents))
    elif arguments.echo:
        uvloop.run(echo(arguments.port, arguments.echo))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
