"""Writes for the server in a thread of its own; what arrives together is one transaction, and so one wait for the disk.

With a commit for every vote, forty raters would wait for each other's disk writes, and in the thread that answers
requests everybody would wait for everything. An answer is given only after the commit. It knows no requests.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from trainer.rating.store import Store

MOST_AT_ONCE: Final = 64
MOST_WAITING: Final = 2000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Store], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"

    def resolve(self, found: Any) -> None:
        """Give the answer, or raise the exception, in the loop that waits for it, if it still does."""

        def hand_over() -> None:
            if self.answer.done():
                return
            if isinstance(found, Exception):
                self.answer.set_exception(found)
            else:
                self.answer.set_result(found)

        self.loop.call_soon_threadsafe(hand_over)


class Writer:
    """The one writer in this process, from entering to leaving."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="votes")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._jobs.put(None)
        self._thread.join()

    async def write(self, work: Callable[[Store], T]) -> T:
        """Do work inside a transaction and return its result once that is on the disk.

        Work may be done twice, where what came with it could not be done. Raises what it raises, and queue.Full where
        the disk does not keep up.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._jobs.put_nowait(job)
        return cast(T, await job.answer)

    def _run(self) -> None:
        with Store(self._path) as store:
            while (first := self._jobs.get()) is not None:
                jobs = [first]
                ending = False
                while len(jobs) < MOST_AT_ONCE and not self._jobs.empty():
                    job = self._jobs.get()
                    if job is None:
                        ending = True
                        break
                    jobs.append(job)
                self._write(store, jobs)
                if ending:
                    return

    def _write(self, store: Store, jobs: Sequence[_Job]) -> None:
        """Write jobs together; where one cannot be, each alone, so that it spoils no other's."""
        try:
            with store.all_or_nothing():
                answers = [job.work(store) for job in jobs]
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].resolve(error)
            else:
                for job in jobs:
                    self._write(store, [job])
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.resolve(answer)
