"""The web server of a study: for a rater the page, the clips of his or her own order and where to send votes.

It runs in a thread of its own. A clip is asked for by its position in the order, so a page never learns which clip it
is or that it comes again. What the lead may see: ``trainer.rating.lead_routes``.
"""

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final, Self

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from station.build_info import ROOT
from station.errors import InputError
from station.transport.messages import GRADES
from station.view.access import Address, security_headers
from station.view.listener import listen
from trainer.data.dataset import Clips
from trainer.rating.access import Gate
from trainer.rating.clip_pictures import ClipPictures
from trainer.rating.database import DATABASE
from trainer.rating.lead_routes import lead_routes
from trainer.rating.orders import Kind
from trainer.rating.pace import NEWEST, pace
from trainer.rating.page_messages import (
    Acts,
    Answer,
    Answers,
    Calibrated,
    GradeButton,
    Graded,
    RaterState,
)  # fmt: skip
from trainer.rating.records import Person
from trainer.rating.store import Store, now_ms
from trainer.rating.study import Study, parse_study
from trainer.rating.writer import Writer

PAGE: Final = Path(__file__).parent / "page"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
VIEW_PAGE: Final = ROOT / "station" / "view" / "page"
SHARED: Final = ("dom.js", "icon.svg")
FIRST_PAGE: Final = {"rater": "rater.html", "lead": "lead.html"}
MOST_ROWS: Final = 16384
"""Of a picture in every browser."""
MOST_CONNECTIONS: Final = 1000
MOST_WAITING: Final = 512
WRITTEN_EVERY_S: Final = 2.0
"""How long refusals are counted before they are written down."""


class RatingServer:
    """Serves one study from entering to leaving."""

    def __init__(self, folder: Path, study: Study, clips: Clips) -> None:
        """Bind, so that the port is known. Raises InputError."""
        frames, height, _ = clips.shape
        if frames * height > MOST_ROWS:
            raise InputError(
                f"{clips.root}: clips of {frames} frames of {height} rows, browsers show at most {MOST_ROWS} rows in "
                "all; cut shorter clips"
            )
        self.study = study
        self.clips = clips
        self.pictures = ClipPictures(clips)
        self._path = folder / DATABASE
        self._fault: BaseException | None = None
        self._listener = listen(study.server.host, study.server.port, "server")
        self._listener.listen(MOST_WAITING)  # who comes before the loop runs waits
        self.port: int = self._listener.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._identity = ""
        self._unshown: set[str] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="rating server")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def wait(self, seconds: float) -> None:
        """Wait a while; raise what ended the server, if anything has."""
        self._thread.join(seconds)
        if self._fault is not None:
            raise self._fault

    def _serve(self) -> None:
        try:
            asyncio.run(self._serve_in_loop())
        except BaseException as error:  # raised again by wait(), in the thread that waits
            self._fault = error
        finally:
            self._ready.set()

    async def _serve_in_loop(self) -> None:
        with Store(self._path) as store, Writer(self._path) as writer:
            self._identity = store.identity
            headers = security_headers(Address(self.study.server.host, self.port, ""))
            gate = Gate(
                self._application(store, writer), store, writer, self.study.server, self.port, self.study.browsers,
                headers,
            )  # fmt: skip
            self._server = uvicorn.Server(
                uvicorn.Config(
                    gate,
                    loop="asyncio",
                    http="h11",
                    ws="none",
                    lifespan="off",
                    log_config=None,  # a log of requests would hold the links
                    access_log=False,
                    proxy_headers=False,
                    server_header=False,
                    date_header=False,
                    limit_concurrency=MOST_CONNECTIONS,
                    h11_max_incomplete_event_size=16384,
                    timeout_graceful_shutdown=2,
                )
            )
            async with _written_down(gate, writer):
                self._ready.set()
                await self._server.serve(sockets=[self._listener])

    def _application(self, store: Store, writer: Writer) -> Starlette:
        files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in TYPES}
        files |= {name: (VIEW_PAGE / name).read_bytes() for name in SHARED}

        async def serve_file(request: Request) -> Response:
            person: Person = request.scope["person"]
            name = request.path_params.get("name") or FIRST_PAGE[person.role]
            if name not in files or (name.endswith(".html") and name != FIRST_PAGE[person.role]):
                return nothing()
            return Response(files[name], media_type=TYPES[Path(name).suffix])

        return Starlette(
            routes=[
                *self._rater_routes(store, writer),
                *lead_routes(self.study, self.pictures, self._path),
                Route("/", serve_file, methods=["GET"]),
                Route("/{name}", serve_file, methods=["GET"]),
            ],
            exception_handlers={404: _not_there, 405: _not_there},
        )

    def _rater_routes(self, store: Store, writer: Writer) -> list[Route]:
        # A vote may have waited in a browser since an earlier study file was in force.
        reasons = {reason for text in store.study_texts() for reason in parse_study(text, "the study").reasons}

        async def serve_state(request: Request) -> Response:
            rater = rater_of(request)
            return as_json(self._state(store, rater)) if rater else nothing()

        async def serve_clip(request: Request) -> Response:
            rater = rater_of(request)
            item = store.item(rater, request.path_params["position"]) if rater else None
            if item is None:
                return nothing()
            if item.clip not in self.pictures:
                return await self._not_shown(writer, item.clip, "not among the clips that the server was started with")
            try:
                png = await asyncio.to_thread(self.pictures.png, item.clip)
            except InputError as error:
                return await self._not_shown(writer, item.clip, str(error))
            return Response(png, media_type="image/png", headers={"x-clip-fps": f"{self.pictures.fps(item.clip):.6g}"})

        async def take_acts(request: Request) -> Response:
            rater = rater_of(request)
            if not rater:
                return nothing()
            try:
                acts = Acts.model_validate_json(await request.body())
            except (ValidationError, ValueError, RecursionError):
                return words("These are no votes that this server understands; load the page again.", 422)
            if any(act.reason and act.reason not in reasons for act in acts.acts):
                return words("This reason is none of the study's; load the page again.", 422)
            try:
                given = [act.given(request.scope["browser"]) for act in acts.acts]
                outcomes = await writer.write(lambda store: store.vote(rater, given, now_ms()))
            except InputError as error:
                return words(f"{error}", 422)
            except (queue.Full, sqlite3.OperationalError):
                return words("The votes cannot be written at this moment; they are sent again.", 503)
            answers = [Answer(id=one.id, counts=one.counts, why=one.why) for one in outcomes]
            graded = [act.position for act in acts.acts if act.grade or act.reason]
            return as_json(
                Answers(
                    answers=answers,
                    closed=store.closed,
                    agreed=self._agreed(store, rater, graded),
                    pace_s=pace(store.seconds(rater, NEWEST)),
                )
            )

        return [
            Route("/api/state", serve_state, methods=["GET"]),
            Route("/api/clip/{position:int}", serve_clip, methods=["GET"]),
            Route("/api/acts", take_acts, methods=["POST"]),
        ]

    async def _not_shown(self, writer: Writer, clip: str, why: str) -> Response:
        """Return what makes the page go on to the next clip; the lead finds the reason in the log."""
        if clip not in self._unshown:
            self._unshown.add(clip)
            with contextlib.suppress(sqlite3.OperationalError, queue.Full):
                await writer.write(lambda store: store.write_log(f"clip {clip} cannot be shown: {why}", now_ms()))
        return Response("This clip cannot be shown.\n", 404, media_type="text/plain", headers={"x-clip": "none"})

    def _state(self, store: Store, rater: str) -> RaterState:
        study = self.study
        order = store.items(rater)
        heads = store.heads(rater)
        return RaterState(
            key=f"{self._identity}/{rater}",
            title=study.title,
            question=study.question,
            rater=rater,
            grades=[GradeButton(grade=grade, words=study.words_of(grade)) for grade in GRADES],
            reasons=list(study.reasons),
            break_after_min=study.break_after_min,
            break_min=study.break_min,
            closed=store.closed,
            frames=self.clips.shape[0],
            positions=[place for place, (_, is_in) in enumerate(order) if is_in],
            calibration=[place for place, (item, is_in) in enumerate(order) if is_in and item.kind is Kind.CALIBRATION],
            graded=[Graded(position=head.position, id=head.id, grade=head.grade, reason=head.reason) for head in heads],
            agreed=self._agreed(store, rater, [head.position for head in heads if not head.open]),
            pace_s=pace(store.seconds(rater, NEWEST)),
        )

    def _agreed(self, store: Store, rater: str, positions: Iterable[int]) -> list[Calibrated]:
        """Return the agreed grades of those of some graded positions that are for calibration."""
        found = []
        for position in positions if self.study.calibration else ():
            item = store.item(rater, position)
            if item is not None and item.kind is Kind.CALIBRATION:
                one = next(given for given in self.study.calibration if given.clip == item.clip)
                found.append(Calibrated(position=position, grade=one.grade, why=one.why))
        return found


def rater_of(request: Request) -> str:
    """Return the pseudonym behind a request, "" where it is no rater's."""
    person: Person = request.scope["person"]
    return person.rater


def as_json(message: "RaterState | Answers") -> Response:
    """Return a message as the answer."""
    return Response(message.model_dump_json(), media_type="application/json")


def words(text: str, status: int) -> Response:
    """Return a sentence as the answer."""
    return Response(json.dumps({"why": text}), status, media_type="application/json")


def nothing() -> Response:
    """Return what is said of a path that does not exist, or is not this person's."""
    return Response("There is nothing here.\n", 404, media_type="text/plain")


async def _not_there(_request: Request, _error: Exception) -> Response:
    return nothing()


@contextlib.asynccontextmanager
async def _written_down(gate: Gate, writer: Writer) -> AsyncIterator[None]:
    """Write the refusals down now and then, and at the end."""

    async def write() -> None:
        if gate.refusals:
            counted, gate.refusals = gate.refusals.copy(), type(gate.refusals)()
            with contextlib.suppress(sqlite3.OperationalError, queue.Full):  # a full disk is said by the votes
                await writer.write(lambda store: store.add_refusals(counted))

    async def repeat() -> None:
        while True:
            await asyncio.sleep(WRITTEN_EVERY_S)
            await write()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await write()
