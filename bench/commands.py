"""Commands through HTTP: one API process, fsync on, every answer after its commit; beside the API's empty answer."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.figures import alternate, show
from bench.http_load import Outcome, send
from tests.site import Api, Site, running


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        sysop = site.sysop()
        members = [site.register(f"member{n}").id for n in range(64)]
        last: dict[str, Outcome] = {}

        def measure(name: str, connections: int) -> float:
            request = _requests(site, sysop, members)[name.split(",")[0]]
            last[name] = send(site.http_port, request, connections=connections, seconds=options.seconds)
            return last[name].per_second

        names = {"empty answer": options.connections, "query": options.connections, "command": options.connections}
        figures = alternate(options.rounds, {n: partial(measure, n, c) for n, c in names.items()})
        figures |= alternate(options.rounds, {"command, 1 connection": lambda: measure("command, 1 connection", 1)})
    show("API, one process, fsync on", figures, "empty answer", "answers/s")
    for name, outcome in last.items():
        times = " ".join(f"p{int(p * 100)} {outcome.percentile(p):.1f}" for p in (0.5, 0.95, 0.99))
        print(f"{name}: {times} ms, {outcome.refused} refused")


def _requests(site: Site, sysop: Api, members: list[str]) -> dict[str, Callable[[int], bytes]]:
    host = f"Host: 127.0.0.1:{site.http_port}\r\nAuthorization: {sysop.http.headers['Authorization']}\r\n"
    body = json.dumps({"points": 1, "reason": "bench"})
    tail = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def command(n: int) -> bytes:
        member = members[n % len(members)]
        return f"POST /api/v1/users/{member}/bonus/grants HTTP/1.1\r\n{host}{tail}".encode()

    return {
        "empty answer": lambda n: f"GET /health/live HTTP/1.1\r\n{host}\r\n".encode(),
        "query": lambda n: f"GET /api/v1/users/{members[n % len(members)]} HTTP/1.1\r\n{host}\r\n".encode(),
        "command": command,
    }


if __name__ == "__main__":
    main()
