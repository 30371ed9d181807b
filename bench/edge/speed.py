"""How many announces a second one edge answers durably, beside nginx and opentracker, and how late the slowest are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median

from bench.catalogue import Catalogue
from bench.edge.loads import Loads, Rate, announcers, http_requests, udp_requests, write_requests
from bench.figures import alternate, show
from bench.load.__main__ import show as show_load
from bench.load.generator import Load, generate
from bench.load.population import Carrier, Shares
from bench.stand_alone import StandAlone

#: Different peers among the announces; each is announced again and again.
ANNOUNCERS = 20_000
#: Peers of a swarm that is announced to, at least: the replies must be full.
FULL_SWARM = 100

Measure = Callable[[], Rate]


class Speed:
    """The measurements of one running edge; the ports of references are None where they are missing."""

    def __init__(
        self,
        edge: StandAlone,
        catalogue: Catalogue,
        loads: Loads,
        folder: Path,
        *,
        seconds: float,
        rounds: int,
        nginx: int | None,
        opentracker: int | None,
    ) -> None:
        self._edge = edge
        self._catalogue = catalogue
        self._loads = loads
        self._folder = folder
        self._seconds = seconds
        self._rounds = rounds
        self._nginx = nginx
        self._opentracker = opentracker
        self._peers = announcers(catalogue, ANNOUNCERS, FULL_SWARM)

    def http(self, *, close: bool) -> float:
        """The table for kept or for closing connections; the edge's median rate."""
        name = "closing" if close else "kept"
        private = self._requests(f"{name}.private", http_requests(self._catalogue, self._peers, close=close))
        public = self._requests(f"{name}.public", http_requests(self._catalogue, self._peers, close=close, keys=False))
        asked = {"nginx": (self._nginx, private), "edge": (self._edge.port, private)}
        asked["opentracker"] = self._opentracker, public
        measures: dict[str, Measure] = {
            who: partial(self._loads.http, port, path, self._seconds) for who, (port, path) in asked.items() if port
        }
        return self._table(f"HTTP, {name} connections", measures, "nginx" if self._nginx else "edge")

    def udp(self) -> float:
        """The table for UDP; the edge's median rate."""
        private = self._requests("udp.private", udp_requests(self._catalogue, self._peers))
        public = self._requests("udp.public", udp_requests(self._catalogue, self._peers, keys=False))
        asked = {"edge": (self._edge.port, private), "opentracker": (self._opentracker, public)}
        measures: dict[str, Measure] = {
            who: partial(self._loads.udp, port, path, self._seconds) for who, (port, path) in asked.items() if port
        }
        return self._table("UDP", measures, "opentracker" if self._opentracker else "edge")

    def latency(self, rate: float, carrier: Carrier) -> None:
        """Percentiles at a constant rate, each from the time at which the announce had to leave."""
        shares = Shares(**{each.value: float(each is carrier) for each in Carrier}, ipv6=0.0)
        load = Load(self._catalogue, self._edge.port, rate, self._seconds, ANNOUNCERS, shares, 1)
        outcome = generate(load)
        if outcome.refused or outcome.unanswered:
            raise SystemExit(f"refused: {dict(outcome.refused)}, unanswered: {outcome.unanswered}")
        show_load(outcome, load)

    def _table(self, title: str, measures: dict[str, Measure], reference: str) -> float:
        for measure in measures.values():
            measure()  # fills the swarms, caches and buffers
        last: dict[str, Rate] = {}
        spent: list[float] = []

        def measured(who: str) -> float:
            before = self._edge.cpu_s
            rate = last[who] = measures[who]()
            if who == "edge":
                spent.append((self._edge.cpu_s - before) / (rate.per_second * self._seconds) * 1e5)
            return rate.per_second

        figures = alternate(self._rounds, {who: partial(measured, who) for who in measures})
        show(title, figures, reference, "replies/s")
        for who, rate in last.items():
            print(f"  {who}: {rate.reply_bytes:.0f} bytes a reply, the load took {rate.load_cpu:.2f} of a core")
        print(f"  cpu of the edge: {median(spent):.2f} s for 100,000 durable announces")
        return median(figures["edge"])

    def _requests(self, name: str, requests: Iterable[bytes]) -> Path:
        return write_requests(self._folder / f"{name}.requests", requests)
