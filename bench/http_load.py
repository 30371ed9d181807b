"""A closed-loop HTTP/1.1 sender for benchmarks: prepared requests on kept connections, only lengths are parsed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvloop


@dataclass(frozen=True)
class Outcome:
    """Answers per second, the latencies in ms, and how many answers were not 2xx."""

    per_second: float
    latencies_ms: list[float]
    refused: int

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def send(port: int, request: Callable[[int], bytes], *, connections: int, seconds: float) -> Outcome:
    """Send `request(n)` for n = 0, 1, 2 … from `connections` connections for `seconds`."""
    return uvloop.run(_send(port, request, connections, seconds))


async def _send(port: int, request: Callable[[int], bytes], connections: int, seconds: float) -> Outcome:
    latencies: list[float] = []
    numbers, refused = iter(range(10**9)), 0
    until = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(request(next(numbers)))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            latencies.append((time.perf_counter() - began) * 1000)
            refused += not head.startswith(b"HTTP/1.1 2")
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Outcome(len(latencies) / seconds, latencies, refused)


def _length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    return int(head[start + 15 : head.index(b"\r", start)]) if start >= 0 else 0
