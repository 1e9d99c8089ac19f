"""One page that looks on, from its WebSocket's start to its end.

A page is sent the newest picture only, and no further one while IN_FLIGHT are not drawn yet, or a single one where that
takes long: what waits for a page that is slow, hidden or stopped is bounded, and nobody else notices. What a page asks
for is answered one after the other.
"""

import asyncio
import contextlib
import time

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from station.view.commands import Asked
from station.view.hub import Hub, Wanted
from station.view.page_messages import Answer, Ask, Look, Shown, parse

IN_FLIGHT = 2
"""One being drawn, one on its way."""
SLOW_S, QUICK_S = 0.1, 0.05
"""From sending a picture to its being drawn. From the first on a second one would only grow old on its way; it is sent
again once a picture has taken less than the second."""
OVERVIEW_S = 0.5
MOST_ASKED = 8
"""Requests that may wait for their answers; more are refused in words."""
MOST_PER_S = 400
"""Messages of a page within one second; a page that says more is shut out."""
MOST_BAD = 10
REFUSED = 1008


class PageSession:
    """Serves one page."""

    def __init__(self, socket: WebSocket, hub: Hub) -> None:
        self._socket = socket
        self._hub = hub
        self._due = asyncio.Event()
        self._look: Look | None = None
        self._sent_seq = -1
        self._seen_grades = 0
        self._waiting: dict[int, float] = {}
        """Pictures that were sent and are not drawn yet: number, and when they were sent, s."""
        self._is_slow = False
        self._asked: asyncio.Queue[Ask] = asyncio.Queue(MOST_ASKED)
        self._sending = asyncio.Lock()
        self._bad = 0
        self._second = (0, 0)

    async def run(self) -> None:
        """Serve until the page goes, or misbehaves."""
        await self._socket.accept()
        self._hub.add_listener(self._due.set)
        tasks = [
            asyncio.create_task(work) for work in (self._show(), self._tell_overview(), self._answer(), self._listen())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (WebSocketDisconnect, RuntimeError, ConnectionError):
            pass  # gone; sending to a page that has just left ends in any of these
        finally:
            self._hub.remove_listener(self._due.set)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._socket.client_state is WebSocketState.CONNECTED:
                with contextlib.suppress(RuntimeError, ConnectionError, WebSocketDisconnect):
                    await self._socket.close(REFUSED)

    async def _show(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            shot, look = self._hub.pairing.newest, self._look
            if shot is None or look is None or shot.header.seq <= self._sent_seq or len(self._waiting) >= self._most:
                continue
            self._sent_seq = shot.header.seq
            self._waiting[shot.header.seq] = time.monotonic()
            wanted = Wanted(look.scale, tuple(look.cards), self._seen_grades, look.attention, look.ranking)
            packet, self._seen_grades = await self._hub.packet(shot, wanted)
            async with self._sending:
                await self._socket.send_bytes(packet)

    @property
    def _most(self) -> int:
        return 1 if self._is_slow else IN_FLIGHT

    def _note_shown(self, frame_seq: int) -> None:
        sent_s = self._waiting.get(frame_seq)
        if sent_s is not None:
            self._is_slow = time.monotonic() - sent_s > (QUICK_S if self._is_slow else SLOW_S)
        self._waiting = {seq: at for seq, at in self._waiting.items() if seq > frame_seq}

    async def _tell_overview(self) -> None:
        while True:
            await self._send_text(self._hub.overview().model_dump_json())
            await asyncio.sleep(OVERVIEW_S)

    async def _answer(self) -> None:
        while True:
            ask = await self._asked.get()
            fields = ask.model_dump(exclude={"kind", "number"})
            answered = await self._hub.ask(Asked(**fields))
            answer = Answer(
                number=ask.number, name=ask.name, done=answered.done, text=answered.text, sperm_id=answered.sperm_id
            )
            await self._send_text(answer.model_dump_json())

    async def _listen(self) -> None:
        """Take in what the page says; return where it says what no page of ours would."""
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text")
            message = parse(text) if text is not None else None
            if self._too_many():
                return
            match message:
                case None:
                    self._bad += 1
                    if self._bad > MOST_BAD:
                        return
                case Shown():
                    self._note_shown(message.frame_seq)
                    self._due.set()
                case Look():
                    self._look = message
                    self._due.set()
                case Ask():
                    await self._queue(message)

    async def _queue(self, ask: Ask) -> None:
        try:
            self._asked.put_nowait(ask)
        except asyncio.QueueFull:
            refusal = Answer(number=ask.number, name=ask.name, done=False, text="too many requests at once: left out")
            await self._send_text(refusal.model_dump_json())

    async def _send_text(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)

    def _too_many(self) -> bool:
        second, count = self._second
        now_s = int(time.monotonic())
        self._second = (now_s, count + 1) if now_s == second else (now_s, 1)
        return self._second[1] > MOST_PER_S
