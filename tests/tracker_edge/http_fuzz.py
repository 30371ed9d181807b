"""Requests, damaged requests and noise into real connections, judged one by one: no exception, no gain, no trace."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network
from random import Random
from uuid import UUID

from domain.announces import ROW_BYTES
from tests.tracker_edge import strict
from tests.tracker_edge.bench import Bench, Wire
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, V2, key, peer, some
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tracker_edge.flood import Flood
from tracker_edge.http import Connection
from tracker_edge.protocol.proxy import SIGNATURE

_NUMBERS = ["0", "1", "700", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "-1", "", "x",
            "00", "1e9", "18446744073709551616"]  # fmt: skip
_EVENTS = ["", "started", "completed", "stopped", "paused", "Started", "empty", "\x00"]
_FIELDS = [
    b"Host: tracker.example", b"User-Agent: qBittorrent/5.1.0", b"User-Agent: Mozilla/5.0", b"Accept-Encoding: gzip",
    b"Connection: close", b"Connection: keep-alive", b"Connection: Keep-Alive, close", b"Content-Length: 0",
    b"Content-Length: 3", b"Content-Length: -1", b"Content-Length: 99999999999", b"Content-Length: 70000",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 8.8.4.4, 127.0.0.1",
    b"X-Forwarded-For: ::ffff:8.8.8.8", b"X-Forwarded-For: garbage\xff", b"X-Forwarded-For:", b"Cookie: a=b",
    b"Range: bytes=0-1", b"Expect: 100-continue", b"Upgrade: h2c", b" folded: line", b"\tx", b": nameless", b"nocolon",
    b"N\x00l: x", b"X: \xff\xfe", b"X-Long: " + b"y" * 3000, b"Host: a\rb", b"Referer: x", b"Accept-Language: en",
]  # fmt: skip
_METHODS = [b"GET"] * 60 + [b"POST", b"HEAD", b"OPTIONS", b"get", b"PRI", b"G\x00T", b""]
_VERSIONS = [b"HTTP/1.1"] * 50 + [b"HTTP/1.0", b"HTTP/1.0", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b""]
_PATHS = ["/announce/{key}", "/{key}/announce", "/tracker/announce", "http://t.example/announce/{key}", "/announce"]
_HOSTS = ["8.8.8.8", "8.8.4.4", "2600::8", "::ffff:9.9.9.9", "10.0.0.1", "127.0.0.1"]
_SPLICES = [b"\r\n", b"\n", b"\r\n\r\n", b"%", b"&", b"=", b"?", b"#", b" ", b"\x00", b"\xff", b"%00", b"&left=0",
            b"&info_hash=", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]  # fmt: skip
_REFUSED = frozenset({400, 404, 405, 413, 414, 431})


class Fuzz:
    """Two edges under fire, one of them behind proxies; the same seed sends the same bytes.

    Raises AssertionError at the first input that wins.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        proxied = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")]
        self.benches = [
            Bench(seed=seed, allow_private=True),
            Bench(seed=seed, limited=True, flood=Flood(200, 300), trusted_proxies=proxied, proxy_protocol=True),
        ]
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[bytes] = Counter()

    def run(self, count: int) -> Counter[str]:
        for _ in range(count):
            bench = self.rng.choice(self.benches)
            if self.rng.random() < 0.005:
                self._let_time_pass(bench)
            host = self.rng.choice(_HOSTS)
            self.judge(bench, self._stream(bench, host), host)
        return self.outcomes

    def judge(self, bench: Bench, stream: bytes, host: str) -> None:
        """One connection that sends the stream in pieces, and may go away before it is answered."""
        before = _state(bench)
        connection, wire = bench.connect(host)
        bench.journal.held = self.rng.random() < 0.5
        leaves = self._send(bench, connection, self._pieces(stream))
        if leaves:
            connection.connection_lost(None)
            wire.ended = True
        bench.timers.elapse()
        bench.journal.release()
        if not leaves:
            connection.eof_received()
            connection.connection_lost(None)
        assert connection not in bench.server.connections
        rows, bench.journal.rows = bench.journal.rows, []
        assert all(len(row) == ROW_BYTES for row in rows)
        if not rows:
            assert _state(bench) == before, "a refusal left a trace"
        accepted = self._outcome(wire)
        assert accepted <= len(rows), "answered without a record"
        assert leaves or accepted == len(rows), "a record without an answer"

    def _send(self, bench: Bench, connection: Connection, pieces: list[bytes]) -> bool:
        """Returns whether the client has left with the last piece."""
        for piece in pieces:
            connection.data_received(piece)
            if self.rng.random() < 0.3:
                bench.timers.elapse()
            if self.rng.random() < 0.02:
                connection.pause_writing()
                connection.resume_writing()
        return self.rng.random() < 0.1

    def _outcome(self, wire: Wire) -> int:
        """How many announces were accepted, by the answers; each answer is judged."""
        found = strict.responses(bytes(wire.received))
        accepted = 0
        for each in found:
            if each.status == 200:
                accepted += self._judge_body(each.body)
            else:
                assert each.status in _REFUSED, each
                self.outcomes[str(each.status)] += 1
                if each.status not in (404, 405):
                    strict.bencoded(each.body)
        if not found:
            self.outcomes["silence"] += 1
        return accepted

    def _judge_body(self, body: bytes) -> bool:
        found = strict.bencoded(body)
        assert isinstance(found, dict)
        if b"failure reason" in found:
            reason = found[b"failure reason"]
            assert isinstance(reason, bytes)
            assert len(reason) <= 64
            assert found.keys() <= {b"failure reason", b"interval", b"min interval", b"retry in"}
            self.reasons[reason] += 1
            self.outcomes["refused"] += 1
            return False
        if b"files" in found:
            self.outcomes["scraped"] += 1
            return False
        peers, peers6 = found[b"peers"], found.get(b"peers6", b"")
        assert isinstance(peers, list) or (isinstance(peers, bytes) and len(peers) % 6 == 0)
        assert isinstance(peers6, bytes)
        assert len(peers6) % 18 == 0
        self.outcomes["accepted"] += 1
        return True

    def _let_time_pass(self, bench: Bench) -> None:
        rng = self.rng
        bench.later(rng.choice((1, 11, 900, 4000)))
        list(bench.swarms.expire(bench.clock.s - 7200, 5000))
        rows = [user_row(EVE, enabled=rng.random() < 0.5, can_leech=rng.random() < 0.5)]
        state = rng.choice(("approved", "approved", "pending", "rejected", "deleted"))
        bench.tracker.access.apply(some(rows, [torrent_row(BOOK, state, rng.choice(("", "Trump")))]))

    def _pieces(self, stream: bytes) -> list[bytes]:
        rng = self.rng
        if rng.random() < 0.5:
            return [stream]
        if len(stream) < 200 and rng.random() < 0.1:
            return [stream[n : n + 1] for n in range(len(stream))]
        cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(1, 6)))
        return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]

    def _stream(self, bench: Bench, host: str) -> bytes:
        rng = self.rng
        preface = b""
        if bench.server.proxy_protocol and host in ("10.0.0.1", "127.0.0.1") and rng.random() < 0.9:
            preface = self._proxy_header()
        if rng.random() < 0.08:
            return preface + rng.randbytes(rng.choice((rng.randrange(40), rng.randrange(400), rng.randrange(20_000))))
        stream = b"".join(self._request() for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 8))))
        if rng.random() < 0.3:
            stream = self._mutated(stream)
        return preface + stream

    def _proxy_header(self) -> bytes:
        rng = self.rng
        address = rng.randbytes(4) + b"\x7f\0\0\1" + rng.randbytes(4)
        header = SIGNATURE + b"\x21\x11" + len(address).to_bytes(2, "big") + address
        return self._mutated(header) if rng.random() < 0.2 else header

    def _request(self) -> bytes:
        rng = self.rng
        target = self._announce() if rng.random() < 0.75 else self._scrape()
        raw = target.encode("latin-1")
        if rng.random() < 0.15:
            raw = self._mutated(raw)
        body, fields = self._body()
        fields += [rng.choice(_FIELDS) for _ in range(rng.choice((0, 0, 1, 2, 5)))] if rng.random() < 0.2 else []
        if rng.random() < 0.002:
            fields += [b"X: y"] * rng.choice((99, 101, 3000))
        line = b" ".join((rng.choice(_METHODS), raw, rng.choice(_VERSIONS)))
        return b"\r\n".join((line, *fields, b"", body))

    def _body(self) -> tuple[bytes, list[bytes]]:
        rng = self.rng
        if rng.random() < 0.9:
            return b"", [b"Host: t", b"User-Agent: qBittorrent/5.1.0", b"Accept-Encoding: gzip"][: rng.randrange(4)]
        data = rng.randbytes(rng.randrange(60))
        if rng.random() < 0.5:
            return data, [b"Content-Length: %d" % (len(data) + (rng.random() < 0.05))]
        half = len(data) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:half], data[half:]) if part)
        end = rng.choice((b"0\r\n\r\n", b"0;a=b\r\nX: y\r\n\r\n", b"00\r\n\r\n"))
        return chunks + end, [b"Transfer-Encoding: chunked"]

    def _announce(self) -> str:
        rng = self.rng
        user_id, torrent_id = rng.choice((ANN, BOB, EVE)), rng.choice((FILM, FILM, BOOK, HYBRID))
        info_hash = rng.choice((HASH[torrent_id], HASH[torrent_id], V2[:20], b"?" * 20))
        parameters = {
            "info_hash": "".join(f"%{byte:02x}" for byte in info_hash),
            "peer_id": peer(rng.randrange(30)).decode(),
            "port": str(rng.randrange(1024, 65536)),
            "uploaded": str(rng.randrange(10**9)),
            "downloaded": str(rng.randrange(10**9)),
            "left": rng.choice(("0", "5", str(rng.randrange(10**9)))),
        }
        for name, values in (("event", _EVENTS), ("numwant", _NUMBERS), ("compact", ["0", "1", "2"]),
                             ("no_peer_id", ["0", "1"]), ("key", ["DEADBEEF", "x", ""]), ("ip", ["1.2.3.4", "::1"]),
                             ("trackerid", ["t", "x" * 2000])):  # fmt: skip
            if rng.random() < 0.15:
                parameters[name] = rng.choice(values)
        if rng.random() < 0.15:
            parameters[rng.choice(list(parameters))] = rng.choice(_NUMBERS)
        if rng.random() < 0.05:
            del parameters[rng.choice(list(parameters))]
        pairs = [f"{name}={value}" for name, value in parameters.items()]
        if rng.random() < 0.05:
            pairs.append(rng.choice(pairs))
        return self._target(rng.choice(_PATHS), self._key(user_id, torrent_id), "&".join(pairs))

    def _scrape(self) -> str:
        rng = self.rng
        torrent_id = rng.choice(list(HASH))
        count = rng.choice((0, 1, 1, 2, 5, 60, 61))
        hashes = [rng.choice((*HASH.values(), V2[:20], rng.randbytes(20))) for _ in range(count)]
        text = "&".join("info_hash=" + "".join(f"%{byte:02x}" for byte in each) for each in hashes)
        return self._target(rng.choice(_PATHS).replace("announce", "scrape"), self._key(ANN, torrent_id), text)

    def _key(self, user_id: UUID, torrent_id: UUID) -> str:
        roll = self.rng.random()
        if roll < 0.05:
            return self.rng.choice(("a" * 32, "", "..", "%2e", "\x00", "x" * 5000, "ünsinn"))
        return _keys[user_id, torrent_id if roll < 0.5 else None]

    def _target(self, path: str, own: str, query: str) -> str:
        text = path.format(key=own) + "?" + query
        return text if "{key}" in path else f"{text}&passkey={own}"

    def _mutated(self, data: bytes) -> bytes:
        rng, changed = self.rng, bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(changed) + 1)
            match rng.randrange(6):
                case 0:
                    changed[at : at + 1] = rng.randbytes(1)
                case 1:
                    changed[at:at] = rng.choice(_SPLICES)
                case 2:
                    del changed[at : at + rng.randrange(30)]
                case 3:
                    changed[at:at] = rng.randbytes(rng.randrange(30))
                case 4:
                    start = rng.randrange(len(changed) + 1)
                    changed[at:at] = changed[start : start + rng.randrange(100)]
                case _:
                    del changed[at:]
        return bytes(changed)


_keys = {(user, torrent): key(user, torrent) for user in (ANN, BOB, EVE) for torrent in (*HASH, None)}


def _state(bench: Bench) -> tuple[object, ...]:
    swarms = bench.swarms
    return len(swarms), swarms.torrents, *(swarms.counts(torrent.bytes) for torrent in HASH)
