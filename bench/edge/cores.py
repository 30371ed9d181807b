"""What one and two edge processes that share a port spend on 100,000 announces: what more cores would buy."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.catalogue import made_up
from bench.edge.loads import Loads, announcers, http_requests, write_requests
from bench.stand_alone import StandAlone
from tests.site import free_ports

USERS, TORRENTS, ANNOUNCERS = 5_000, 200, 20_000


def cores(loads: Loads, seconds: float) -> None:
    """Prints CPU seconds for 100,000 announces over kept connections, and the rate that the load left room for."""
    costs = {processes: _cost(loads, seconds, processes) for processes in (1, 2)}
    for processes, (spent, rate) in costs.items():
        each = f"{spent:.2f} s of CPU for 100,000 announces"
        print(f"{processes} edge process{'es' if processes > 1 else ''}: {each}, {rate:,.0f}/s beside the load")
    print(f"rate of two to one: {costs[2][1] / costs[1][1]:.2f}, cost {costs[2][0] / costs[1][0]:.2f}")


def _cost(loads: Loads, seconds: float, processes: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder, port = Path(name), free_ports(1)[0]
        catalogue = made_up(USERS, TORRENTS)
        requests = http_requests(catalogue, announcers(catalogue, ANNOUNCERS, ANNOUNCERS // TORRENTS), close=False)
        path = write_requests(folder / "requests", requests)
        edges = [
            running.enter_context(
                StandAlone(folder, port=port, users=USERS, torrents=TORRENTS, number=number, processes=processes)
            )
            for number in range(1, processes + 1)
        ]
        loads.http(port, path, 1)
        before = sum(edge.cpu_s for edge in edges)
        rate = loads.http(port, path, seconds).per_second
        return (sum(edge.cpu_s for edge in edges) - before) / (rate * seconds) * 1e5, rate
