"""What all pages look at: the newest shot, the grades of the last minute, the state of the station.

Links fill it from threads of their own; pages read it in the server's loop. A JPEG of one frame at one size is made
once, however many pages want it, in a thread of its own: the loop never waits for it.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from station.clock import NS_PER_MS
from station.config import Config
from station.crop import crop_into
from station.dashboard.key_handler import KEYS, REPLAY_ONLY
from station.dashboard.ranking import ranking_in_words
from station.transport.buffers import Received
from station.transport.control_messages import ProcessStatus
from station.transport.messages import STALE_S, GradesHeader, TrackState
from station.view.cards import GradeHistory, cards, looked_at
from station.view.commands import Answered, Asked, Commands, Known
from station.view.overview import StationFacts, overview
from station.view.page_messages import Crop, KeyHelp, Overview, Picture, pack
from station.view.pairing import Pairing, Shot
from station.view.picture import histogram, jpeg, whole_scale

OVERVIEW_S = 0.25
"""An overview is made anew no more often than this, however many pages look on."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one page wants of a shot."""

    scale: float
    cards: tuple[int, ...]
    seen_grades: int
    attention: int | None = None
    ranking: bool = False


class Hub:
    """The one place from which all pages are served."""

    def __init__(self, config: Config, commands: Commands | None) -> None:
        self.pairing = Pairing(self._newer)
        self.facts = StationFacts(config)
        self.history = GradeHistory()
        self._config = config
        self._commands = commands
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Callable[[], None]] = set()
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="jpeg")
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="commands")
        self._jpegs: dict[tuple[int, float], asyncio.Future[bytes]] = {}
        self._overview: tuple[float, Overview] | None = None
        self._keys = [KeyHelp(key=key.shown, does=key.does) for key in KEYS if self._offered(key.asks)]
        self.known = Known()

    def _offered(self, asks: str) -> bool:
        """Return whether this kind of run knows what a key asks for."""
        return self._config.replay_of is not None or asks not in REPLAY_ONLY

    # -- filled by the links -------------------------------------------------------------------------------------

    def take_in(self, message: Received | ProcessStatus) -> None:
        """Keep grades, and what a process says of itself."""
        if isinstance(message, ProcessStatus):
            self.facts.take_in(message)
        elif isinstance(message.header, GradesHeader):
            for grade in message.header.grades:
                self._in_loop(partial(self.history.add, grade))

    def _newer(self) -> None:
        self._in_loop(self._tell)

    def _in_loop(self, call: Callable[[], object]) -> None:
        """Carry out in the server's loop, which alone reads what is changed here; left out once it has ended."""
        loop = self._loop
        if loop is None:
            call()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(call)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    # -- read by the pages, in the server's loop -----------------------------------------------------------------

    def serve_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the pages live in."""
        self._loop = loop

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever there is a newer shot."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.discard(listener)

    async def packet(self, shot: Shot, wanted: Wanted) -> tuple[bytes, int]:
        """Return one shot as one page wants it, and the number of grades that the page has seen with it."""
        data = await self._jpeg(shot, whole_scale(wanted.scale))
        crops, pixels = self._crops(shot, wanted.cards)
        header, tracks = shot.header, shot.tracks
        snapshot = self.facts.snapshot(tracks, shot.t_received_ns, self.history.newest)
        found = cards(snapshot, self.known.marked, self.pairing.kinematics_at(header.t_exposure_ns))
        candidates, candidates_age_ms = self.pairing.candidates_at(header.t_exposure_ns)
        picture = Picture(
            frame_seq=header.seq,
            t_exposure_ms=header.t_exposure_ns / NS_PER_MS,
            t_source_ms=header.t_source_ns / NS_PER_MS,
            age_ms=max(0.0, (snapshot.now_ns - header.t_exposure_ns) / NS_PER_MS),
            width=header.width,
            height=header.height,
            jpeg_bytes=len(data),
            stale_ms=STALE_S * 1000 if self._config.speed == "live" else None,
            tracked=tracks is not None,
            window_frames=tracks.window_frames if tracks else 0,
            window_px=self._config.window.size,
            disturbance=tracks.disturbance if tracks else "",
            cards=[looked_at(snapshot, card) if card.sperm_id == wanted.attention else card for card in found],
            ranking=ranking_in_words(snapshot) if wanted.ranking else [],
            candidates=candidates,
            candidates_age_ms=candidates_age_ms,
            blind=snapshot.blind,
            past=[] if snapshot.blind else self.history.since(wanted.seen_grades),
            crops=crops,
        )
        return pack(picture, data, pixels), wanted.seen_grades if snapshot.blind else self.history.end

    def overview(self) -> Overview:
        """Return the state of the station."""
        now_s = time.monotonic()
        if self._overview is None or now_s - self._overview[0] >= OVERVIEW_S:
            shot = self.pairing.newest
            tracks, received_ns = (shot.tracks, shot.t_received_ns) if shot else (None, None)
            snapshot = self.facts.snapshot(tracks, received_ns, self.history.newest)
            found = overview(
                snapshot,
                shot.header if shot else None,
                histogram(shot.pixels) if shot else None,
                self._keys,
                self.known.objectives,
                commands=self._commands is not None,
            )
            self._overview = (now_s, found)
        return self._overview[1]

    async def ask(self, asked: Asked) -> Answered:
        """Pass a request on to the main process and return its answer."""
        if self._commands is None:
            return Answered(False, f"{asked.name}: this view only shows; use the keys of the terminal")
        return await asyncio.get_running_loop().run_in_executor(self._asker, self._commands.ask, asked)

    def close(self) -> None:
        """End the threads; may be called more than once."""
        self._encoder.shutdown(wait=True, cancel_futures=True)
        self._asker.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _jpeg(self, shot: Shot, scale: float) -> bytes:
        key = (shot.header.seq, scale)
        if key not in self._jpegs:
            newest = self.pairing.newest
            kept = {shot.header.seq, newest.header.seq if newest else -1}
            self._jpegs = {old: made for old, made in self._jpegs.items() if old[0] in kept}
            loop = asyncio.get_running_loop()
            self._jpegs[key] = loop.run_in_executor(self._encoder, jpeg, shot.pixels, scale)
        return await asyncio.shield(self._jpegs[key])

    def _crops(self, shot: Shot, wanted: tuple[int, ...]) -> tuple[list[Crop], list[bytes]]:
        """Return the crops of this very frame: of a locked sperm what enters its window, of a lost one none."""
        size = self._config.window.size
        crops: list[Crop] = []
        pixels: list[bytes] = []
        for track in shot.tracks.tracks if shot.tracks else ():
            if track.sperm_id in wanted and track.state is not TrackState.LOST:
                out = np.empty((size, size), np.uint8)
                padded = crop_into(out, shot.pixels, track.x, track.y)
                crops.append(Crop(sperm_id=track.sperm_id, size=size, padded=padded))
                pixels.append(out.tobytes())
        return crops, pixels
