"""A simulated rater: asks for clips and sends votes as the page does, by one connection, and keeps a log of its own.

Like the page it resends an act, with the same id, until the server has answered it. Now and then it takes a vote back
and grades again, or sends a second vote from a "second tab" that has not heard of the first.
"""

import asyncio
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

RETRY_S: Final = 0.1
UNDO: Final = 0.02
SECOND_TAB: Final = 0.01


@dataclass(slots=True)
class Log:
    """What one rater knows of its own acts."""

    answered: dict[str, bool] = field(default_factory=dict)
    """By id: whether the server said that it counts."""
    heads: dict[int, str] = field(default_factory=dict)
    """By position: id of the act that counts, as the rater believes."""
    vote_ms: list[float] = field(default_factory=list)
    """Of acts answered at the first try."""
    clip_ms: list[float] = field(default_factory=list)
    resent: int = 0
    """Acts that met a dead server."""
    outage_ms: list[float] = field(default_factory=list)
    """From the first try of such an act to its answer."""
    refused: list[str] = field(default_factory=list)


class SimulatedRater:
    """One rater in an event loop."""

    def __init__(self, host: str, port: int, word: str, pace_s: float, seed: int) -> None:
        self._host, self._port, self._word, self._pace_s = host, port, word, pace_s
        self._rng = random.Random(seed)
        self._browser = f"{self._rng.getrandbits(128):032x}"
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.log = Log()

    async def grade_all(self) -> None:
        """Grade every clip of the order."""
        state = json.loads((await self._until_answered("GET", "api/state"))[1])
        for position in state["positions"]:
            start_s = time.perf_counter()
            status, _ = await self._until_answered("GET", f"api/clip/{position}")
            self.log.clip_ms.append(1e3 * (time.perf_counter() - start_s))
            if status != 200:
                self.log.refused.append(f"clip {position}: {status}")
            await asyncio.sleep(self._rng.expovariate(1 / self._pace_s))
            await self._act(position, self._rng.choice("ABCDE"))
            if self._rng.random() < UNDO:
                await self._act(position, "")
                await self._act(position, self._rng.choice("ABCDE"))
            if self._rng.random() < SECOND_TAB:
                await self._act(position, "E", base="")
        if self._pipe is not None:
            self._pipe[1].close()

    async def _act(self, position: int, grade: str, base: str | None = None) -> None:
        act = {
            "id": str(uuid.UUID(int=self._rng.getrandbits(128))),
            "position": position,
            "base": self.log.heads.get(position, "") if base is None else base,
            "grade": grade,
            "shown_ms": 1500,
            "t_page_ms": time.time_ns() // 1_000_000,
        }
        body = json.dumps({"acts": [act]}).encode()
        start_s = time.perf_counter()
        resent = self.log.resent
        status, answer = await self._until_answered("POST", "api/acts", body)
        took_ms = 1e3 * (time.perf_counter() - start_s)
        (self.log.outage_ms if self.log.resent > resent else self.log.vote_ms).append(took_ms)
        if status != 200:
            self.log.refused.append(f"{status} {answer[:200]!r}")
            return
        (said,) = json.loads(answer)["answers"]
        self.log.answered[said["id"]] = said["counts"]
        if said["counts"]:
            self.log.heads[position] = said["id"]

    async def _until_answered(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        first = True
        while True:
            try:
                status, answer = await self._ask(method, path, body)
                if status < 500:
                    return status, answer
            except (OSError, EOFError, ValueError):  # the server is gone, perhaps in the middle of its answer
                if self._pipe is not None:
                    self._pipe[1].close()
                self._pipe = None
            if first and body:
                self.log.resent += 1
            first = False
            await asyncio.sleep(RETRY_S)

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._pipe is None:
            self._pipe = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._pipe
        head = (
            f"{method} /{self._word}/{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"X-Browser: {self._browser}\r\nOrigin: http://{self._host}:{self._port}\r\n"
        )
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        return int(lines[0].split()[1]), await reader.readexactly(int(headers[b"content-length"]))
