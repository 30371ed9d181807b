"""The thread in which a journal waits for its disk, so that the event loop need not."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], None]
Done = Callable[[BaseException | None], None]


class Disk(threading.Thread):
    """Does one piece of work after the other. An executor would do the same, for a fifth of what a group of announces
    costs: it makes a future with a lock of its own for each."""

    def __init__(self) -> None:
        super().__init__(name="journal", daemon=True)
        self._queue: SimpleQueue[tuple[Work, AbstractEventLoop, Done] | None] = SimpleQueue()
        self.start()

    def do(self, work: Work, loop: AbstractEventLoop, done: Done) -> None:
        """Does the work, and then calls `done` in the loop with what went wrong, or None."""
        self._queue.put((work, loop, done))

    def end(self) -> None:
        """Returns when everything is done."""
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        while (job := self._queue.get()) is not None:
            work, loop, done = job
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:
                error = caught
            loop.call_soon_threadsafe(done, error)
