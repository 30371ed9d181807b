"""Open-loop announces by a population of clients, their latencies, and whether every byte was credited.

Without `--url` against an edge of its own, whose shipped segments go through the credit rules; `--kill` kills it with
SIGKILL in the middle and starts it again on the same journal. With `--url` against a running site, whose numbers are
asked of its API. Ends with 1 when one byte is off, an announce was refused or never answered.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import fields, replace
from multiprocessing import get_context
from pathlib import Path

from bench.catalogue import made_up
from bench.load import site
from bench.load.check import Credited, credited, differences
from bench.load.generator import Load, Outcome, generate
from bench.load.population import Shares
from bench.stand_alone import StandAlone
from tests.site import free_ports

#: More differences say nothing new.
SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    shares = Shares(**{field.name: getattr(options, field.name) for field in fields(Shares)})
    if options.url:
        return site.run(options, shares, lambda load: drive(load, options.processes), show, verdict)
    if options.peers > options.users * options.torrents:
        raise SystemExit("more peers than users times torrents")
    with tempfile.TemporaryDirectory() as folder:
        edge = StandAlone(
            Path(folder), port=free_ports(1)[0], users=options.users, torrents=options.torrents, keep=True
        )
        load = Load(
            made_up(options.users, options.torrents), edge.port, options.rate, options.seconds, options.peers, shares,
            options.seed, timeout_s=options.timeout,
        )  # fmt: skip
        with edge:
            outcome = drive(load, options.processes, edge, options.kill)
        show(outcome, load)
        return verdict(outcome, credited(edge.store.segments()))


def drive(load: Load, processes: int, edge: StandAlone | None = None, kills: int = 0) -> Outcome:
    """Runs the senders, each a process; kills the edge at even distances meanwhile."""
    parts = [replace(load, rate=load.rate / processes, first=first, of=processes) for first in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(generate, part) for part in parts]
        for _ in range(kills if edge is not None else 0):
            _kill_after(running, load.seconds / (kills + 1), edge)
        outcome = Outcome()
        for part in running:
            outcome.add(part.result())
    return outcome


def _kill_after(running: list[Future[Outcome]], seconds: float, edge: StandAlone | None) -> None:
    assert edge is not None
    if wait(running, timeout=seconds).not_done:
        edge.end(signal.SIGKILL)
        began = time.monotonic()
        edge.start()
        print(f"killed, and answers again after {time.monotonic() - began:.2f} s", flush=True)


def show(outcome: Outcome, load: Load) -> None:
    """Latencies from the scheduled time, by carrier."""
    print(f"{load.rate:,.0f}/s for {load.seconds:g} s, seed {load.seed}: {outcome.answered:,} announces answered,"
          f" {outcome.repeated} tries repeated")  # fmt: skip
    for carrier, latencies in outcome.latencies.items():
        if latencies:
            print(f"  {carrier.value:6}{len(latencies):>9,}  {percentiles(latencies)}")
    print(f"  sent late by the senders themselves: {percentiles(outcome.late)}; they took {outcome.cpu:.2f} of a core")


def percentiles(seconds: Iterable[float]) -> str:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    places = {name: min(len(ordered) - 1, int(share * len(ordered))) for name, share in shares.items()}
    return ", ".join(f"{name} {ordered[place] * 1000:.1f} ms" for name, place in places.items())


def verdict(outcome: Outcome, found: Credited) -> int:
    """Prints what is wrong; the exit code."""
    wrong = differences(outcome.moved, found)
    for line in wrong[:SHOWN]:
        print(f"DIFFERENCE {line}")
    if len(wrong) > SHOWN:
        print(f"… and {len(wrong) - SHOWN} more")
    for reason, times in outcome.refused.items():
        print(f"REFUSED {times} times: {reason}")
    if outcome.unanswered:
        print(f"UNANSWERED {outcome.unanswered} announces")
    up, down = (sum(each[side] for each in outcome.moved.values()) for side in (0, 1))
    anomalies = ", ".join(f"{name} {times}" for name, times in found.anomalies.items()) or "none"
    print(f"credited from {found.announces:,} announces; anomalies: {anomalies}")
    users, torrents = ({pair[side] for pair in outcome.moved} for side in (0, 1))
    exact = "every byte credited" if not wrong else f"{len(wrong)} sums differ"
    print(f"{len(users)} users, {len(torrents)} torrents, {up:,} bytes up, {down:,} down: {exact}")
    if not up:
        print("NOTHING MOVED: take fewer peers, or more seconds")
    return bool(wrong or outcome.refused or outcome.unanswered or not up)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500, help="announces a second, of all senders")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--peers", type=int, default=400, help="sessions")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--torrents", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    for field in fields(Shares):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default, help="a share")
    parser.add_argument("--processes", type=int, default=1, help="senders")
    parser.add_argument("--timeout", type=float, default=10, help="seconds until an announce is repeated")
    parser.add_argument("--kill", type=int, nargs="?", const=1, default=0, help="times that the edge is killed")
    parser.add_argument("--url", help="of a running site's API, such as http://127.0.0.1:8080")
    parser.add_argument("--username", default="sysop", help="who may upload and see numbers there")
    options = parser.parse_args(arguments)
    if options.url and options.kill:
        parser.error("--kill is for an edge of its own")
    return options


if __name__ == "__main__":
    sys.exit(main())
