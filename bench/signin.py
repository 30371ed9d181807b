"""Sign-ins through HTTP, with hashing capped, beside argon2id alone and the API's empty answer; and the token check."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from bench.figures import alternate, show
from bench.http_load import Outcome, send
from runtime.passwords import AT_ONCE, hash_password, verify_password
from runtime.tokens import Tokens
from tests.site import PASSWORD, Site, running

MEMBERS = 32
CHECKS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        names = [f"member{n}" for n in range(MEMBERS)]
        for name in names:
            site.register(name)
        last: dict[str, Outcome] = {}

        def answers(name: str) -> float:
            request = _requests(site, names)[name]
            last[name] = send(site.http_port, request, connections=AT_ONCE, seconds=options.seconds)
            return last[name].per_second

        measures = {name: partial(answers, name) for name in ("empty answer", "sign-in")}
        figures = alternate(options.rounds, {"argon2id alone": lambda: _hashes(options.seconds), **measures})
    show("Sign-in, one process, fsync on", figures, "argon2id alone", "/s")
    for name, outcome in last.items():
        times = " ".join(f"p{int(p * 100)} {outcome.percentile(p):.1f}" for p in (0.5, 0.95, 0.99))
        print(f"{name}: {times} ms, {outcome.refused} refused")
    show(
        "Token check", alternate(options.rounds, {"check": _checks, "check, key changing": _checks_both}), "check", "us"
    )


def _requests(site: Site, names: list[str]) -> dict[str, Callable[[int], bytes]]:
    host = f"Host: 127.0.0.1:{site.http_port}\r\n"

    def sign_in(n: int) -> bytes:
        body = json.dumps({"username": names[n % len(names)], "password": PASSWORD})
        tail = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        return f"POST /api/v1/auth/login HTTP/1.1\r\n{host}{tail}".encode()

    return {
        "empty answer": lambda n: f"GET /health/live HTTP/1.1\r\n{host}\r\n".encode(),
        "sign-in": sign_in,
    }


def _hashes(seconds: float) -> float:
    """Passwords verified per second, as many at once as a process verifies."""
    stored, until = hash_password(PASSWORD), time.perf_counter() + seconds

    def verify(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            assert verify_password(stored, PASSWORD)
            done += 1
        return done

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(threads.map(verify, range(AT_ONCE))) / seconds


def _checks() -> float:
    return _check_us(Tokens(b"s" * 32))


def _checks_both() -> float:
    return _check_us(Tokens(b"n" * 32, previous=b"s" * 32))


def _check_us(tokens: Tokens) -> float:
    now = datetime.now(UTC)
    token = Tokens(b"s" * 32).access_token(uuid4(), uuid4(), now)
    began = time.process_time()
    for _ in range(CHECKS):
        tokens.verify(token, now)
    return (time.process_time() - began) / CHECKS * 1e6


if __name__ == "__main__":
    main()
