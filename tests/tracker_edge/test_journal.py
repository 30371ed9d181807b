"""What was acknowledged is on the disk: after torn writes, kill -9, failing disks, and a second process."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from domain.announces import Announce, Event, pack, unpack
from tests.tracker_edge import failing_disk
from tracker_edge.journal import Journal, JournalDamaged, JournalFailed, JournalInUse, files, read_rows, recover, writer

#: Magic and sequence number at the beginning of a file.
HEAD_BYTES = 20


class Client:
    """Collects what it is told."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.abandoned = 0

    def deliver(self, reply: bytes) -> None:
        self.replies.append(reply)

    def abandon(self) -> None:
        self.abandoned += 1


def row(number: int) -> bytes:
    return pack(Announce(number, bytes(16), bytes(16), bytes(20), Event.REGULAR, 0, 0, 0, b"\xff" * 16, 6881, 0))


def numbers(directory: Path) -> list[int]:
    """What a restart would find."""
    closed, last, _ = recover(directory, 1)
    rows = b"".join(read_rows(directory, seq) for seq in closed)
    data = (directory / f"{last:016d}.journal").read_bytes()
    rows += b"".join(group for group, _ in files.frames(last, data))
    return [record.received_at_us for record in unpack(rows)]


def check(directory: Path, outcome: failing_disk.Outcome, error: int) -> None:
    """What a process may leave of whose disk one call has failed."""
    acknowledged = outcome.before + outcome.after
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    found = numbers(directory)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= len(acknowledged)
    if outcome.call is not None and (outcome.call, error) not in failing_disk.PASSING:
        assert outcome.after == []


async def written(directory: Path, *groups: range, rotate: bool = False) -> None:
    journal = Journal(directory, 1)
    for group in groups:
        for number in group:
            journal.append(row(number))
        await journal.settled()
        if rotate:
            await journal.rotate()
    await journal.close()


def test_a_reply_comes_after_its_record_is_on_the_disk_and_in_order(tmp_path: Path) -> None:
    async def run() -> None:
        journal, client = Journal(tmp_path, 1), Client()
        for number in range(5):
            journal.append(row(number), client, b"%d" % number)
        journal.append(b"", client, b"without a record")
        assert client.replies == []
        await journal.settled()
        assert client.replies == [b"0", b"1", b"2", b"3", b"4", b"without a record"]
        await journal.close()

    asyncio.run(run())
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_a_tail_torn_at_any_byte_is_cut_and_what_comes_after_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    asyncio.run(written(source, range(3), range(3, 5), range(5, 6)))
    whole = (source / f"{1:016d}.journal").read_bytes()
    ends = [0, *(end for _, end in files.frames(1, whole))]
    held = {ends[0]: [], ends[1]: [0, 1, 2], ends[2]: [0, 1, 2, 3, 4], ends[3]: [0, 1, 2, 3, 4, 5]}
    for size in range(len(whole) + 1):
        for junk in (b"", b"\0" * 300) if size % 17 == 0 else (b"",):
            directory = tmp_path / "torn"
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            if junk and size < HEAD_BYTES:
                continue  # zeros that complete a head are damage, not a tear
            (directory / f"{1:016d}.journal").write_bytes(whole[:size] + junk)
            expected = held[max(end for end in ends if end <= size)]
            assert numbers(directory) == expected
            if size % 50 == 0:
                asyncio.run(written(directory, range(100, 102)))
                assert numbers(directory) == [*expected, 100, 101]


@pytest.mark.parametrize("place", [30, 60, -1])
def test_a_flipped_bit_ends_what_is_read(tmp_path: Path, place: int) -> None:
    asyncio.run(written(tmp_path, range(3)))
    path = tmp_path / f"{1:016d}.journal"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert numbers(tmp_path) == []


def test_damage_in_a_closed_file_or_a_hole_is_for_people(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, range(3), range(3, 6), range(6, 9), rotate=True))
    path = tmp_path / f"{2:016d}.journal"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(JournalDamaged, match="2.journal is not whole"):
        Journal(tmp_path, 1)
    path.unlink()
    with pytest.raises(JournalDamaged, match="between 1 and 4 is missing"):
        Journal(tmp_path, 1)
    path.write_bytes(data)
    assert numbers(tmp_path) == list(range(9))


def test_a_file_of_another_number_is_not_read_as_this_one(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, range(3)))
    (tmp_path / f"{1:016d}.journal").rename(tmp_path / f"{7:016d}.journal")
    with pytest.raises(JournalDamaged, match="unreadable head"):
        Journal(tmp_path, 1)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    async def run() -> None:
        first = Journal(tmp_path, 1)
        with pytest.raises(JournalInUse):
            Journal(tmp_path, 1)
        await first.close()
        await Journal(tmp_path, 1).close()

    asyncio.run(run())


def test_rotation_numbers_files_and_skips_empty_ones(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(tmp_path, 41)
        await journal.rotate()
        assert journal.closed == []
        for number in range(3):
            journal.append(row(number))
            await journal.settled()
            await asyncio.gather(journal.rotate(), journal.rotate())
        assert journal.closed == [41, 42, 43]
        assert journal.depth_bytes > 3 * len(row(0))
        assert journal.age_s > 0
        journal.shipped(41)
        assert journal.closed == [42, 43]
        await journal.close()

    asyncio.run(run())
    assert numbers(tmp_path) == [1, 2]


def test_announces_during_a_rotation_are_kept(tmp_path: Path) -> None:
    async def run() -> None:
        journal, client = Journal(tmp_path, 1), Client()
        for number in range(300):
            journal.append(row(number), client, b"%d" % number)
            if number % 10 == 0:
                asyncio.ensure_future(journal.rotate())
            if number % 3 == 0:
                await asyncio.sleep(0)
        await journal.rotate()
        await journal.settled()
        assert client.replies == [b"%d" % number for number in range(300)]
        await journal.close()

    asyncio.run(run())
    assert numbers(tmp_path) == list(range(300))


def test_held_replies_wait_for_the_shipment_in_order(tmp_path: Path) -> None:
    async def run() -> None:
        journal, client = Journal(tmp_path, 1, hold=True), Client()
        journal.append(row(1), client, b"1")
        await journal.settled()
        await journal.rotate()
        journal.append(b"", client, b"failure after 1")
        await journal.settled()
        journal.append(row(2), client, b"2")
        await journal.settled()
        await journal.rotate()
        assert client.replies == []
        journal.shipped(1)
        assert client.replies == [b"1", b"failure after 1"]
        journal.shipped(2)
        assert client.replies == [b"1", b"failure after 1", b"2"]
        journal.append(b"", client, b"3")
        await journal.settled()
        assert client.replies[-1] == b"3"
        await journal.close()

    asyncio.run(run())


def test_after_a_failed_sync_nothing_is_acknowledged_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        failures: list[BaseException] = []
        journal, client = Journal(tmp_path, 1, on_failure=failures.append), Client()
        journal.append(row(1), client, b"1")
        await journal.settled()
        healthy = os.fdatasync

        def fails(handle: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fails)
        journal.append(row(2), client, b"2")
        while not failures:
            journal.append(row(3), client, b"3")
            await asyncio.sleep(0.001)
        monkeypatch.setattr(os, "fdatasync", healthy)  # the disk says that it is well again: not believed
        before = client.abandoned
        journal.append(row(4), client, b"4")
        await asyncio.sleep(0.01)
        assert client.replies == [b"1"]
        assert client.abandoned == before + 1
        with pytest.raises(JournalFailed):
            await journal.rotate()
        await journal.close()

    asyncio.run(run())


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_call_of_the_disk_that_fails_loses_nothing_that_was_acknowledged(
    tmp_path: Path, nth: int, error: int
) -> None:
    """Whatever opens, writes, cuts or syncs: what was acknowledged is there in order, and after a failed sync nothing
    is acknowledged any more."""
    outcome = failing_disk.run(tmp_path, nth, error)
    check(tmp_path, outcome, error)
    assert outcome.call is not None


def test_a_disk_that_is_full_fails_the_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(directory: Path, seq: int) -> None:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        journal = Journal(tmp_path, 1)
        journal.append(row(1))
        await journal.settled()
        monkeypatch.setattr(writer, "created", full)
        with pytest.raises(JournalFailed):
            await journal.rotate()
        await journal.close()

    asyncio.run(run())
    assert numbers(tmp_path) == [1]


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for round_ in range(4):
        directory = tmp_path / str(round_)
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.tracker_edge.journal_writer", str(directory)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05 + 0.07 * round_)
        os.kill(writer.pid, signal.SIGKILL)
        said = first + writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        acknowledged = [int(line) for line in said.split(b"\n")[:-1]]
        found = numbers(directory)
        assert acknowledged == list(range(1, len(acknowledged) + 1))
        assert len(acknowledged) > 10
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= len(acknowledged)


def test_a_rotation_outlives_who_waited_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        journal = Journal(tmp_path, 1)
        journal.append(row(1))
        await journal.settled()
        waiting = asyncio.create_task(journal.rotate())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(journal.settled(), 5)
        assert journal.closed == [1]
        await journal.close()

    asyncio.run(work())


def test_a_full_disk_is_waited_for_and_nothing_is_half_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tracker_edge.journal_full", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout.splitlines()[-1:]
    assert (done.returncode, said) == (0, ["kept what was answered, answered what was kept"]), done.stderr
