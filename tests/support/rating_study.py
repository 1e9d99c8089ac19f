"""A study of a few clips, its server in this process, and raters who speak to it without a browser."""

import json
import socket
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np

from trainer.data.clip_files import write_clip
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import write_table
from trainer.rating.links import make_link
from trainer.rating.plan import bring_into_force, invite
from trainer.rating.records import GivenVote, Person
from trainer.rating.server import RatingServer
from trainer.rating.store import Store, now_ms
from trainer.rating.study import STUDY

SHAPE = (4, 40, 40)
BROWSER = "0123456789abcdef0123456789abcdef"
HUNG_UP = 3
"""So often is asked again."""


def make_clips(root: Path, count: int) -> None:
    """A folder of unlabelled clips; in each a bright square goes its own way."""
    (root / "clips").mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows, hashes = [], {}
    for k in range(count):
        clip = rng.integers(90, 130, SHAPE, np.uint8)
        for t in range(SHAPE[0]):
            clip[t, 10 + 4 * t : 16 + 4 * t, 5 + k % 30 : 11 + k % 30] = 230
        file = f"clips/{k}.npz"
        hashes[file] = write_clip(root / file, clip)
        rows.append(ClipRow(f"clip-{k:03d}", file, f"donor{k // 4}", 0.25, 15.0, ()))
    write_table(root, rows, hashes, SHAPE, {})


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_study(folder: Path, text: str, port: int = 8765) -> None:
    """Write a study file."""
    folder.mkdir(exist_ok=True)
    (folder / STUDY).write_text(f'title = "Test"\n{text}\n[server]\nport = {port}\n', encoding="utf-8")


def given(position: int, grade: str = "", *, reason: str = "", base: str = "", **fields: Any) -> GivenVote:
    """One act."""
    values = {"id": str(uuid.uuid4()), "note": "", "shown_ms": 2000, "t_page_ms": 1, "browser": BROWSER} | fields
    return GivenVote(position=position, grade=grade, reason=reason, base=base, **values)


@dataclass(slots=True)
class Answered:
    """What a server said."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Link:
    """One link, and requests by it."""

    base: str
    word: str
    browser: str = BROWSER
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.base}/{self.word}/"

    def get(self, path: str = "", **headers: str) -> Answered:
        return self._ask(urllib.request.Request(self.url + path, headers=self._all(headers)))

    def post(self, body: bytes, path: str = "api/acts", **headers: str) -> Answered:
        given = self._all({"Content-Type": "application/json", "Origin": self.base} | headers)
        return self._ask(urllib.request.Request(self.url + path, body, given))

    def vote(self, *votes: GivenVote) -> Answered:
        fields = ("id", "position", "base", "grade", "reason", "note", "shown_ms", "t_page_ms")
        acts = [{name: getattr(vote, name) for name in fields} for vote in votes]
        return self.post(json.dumps({"acts": acts}).encode())

    def _all(self, headers: dict[str, str]) -> dict[str, str]:
        given = {"X-Browser": self.browser} | self.headers | {k.replace("_", "-"): v for k, v in headers.items()}
        return {name: value for name, value in given.items() if value}

    def _ask(self, request: urllib.request.Request) -> Answered:
        for _ in range(HUNG_UP):
            try:
                try:
                    response: HTTPResponse | HTTPError = urllib.request.urlopen(request, timeout=20)
                except HTTPError as error:
                    response = error
                with response:
                    return Answered(response.status or 0, response.read(), dict(response.headers.items()))
            except ConnectionError:
                pass  # a server that refuses before it has read all may hang up on who is still sending
        return Answered(0, b"", {})


@dataclass(slots=True)
class Served:
    """A study that is being served."""

    data: Path
    folder: Path
    server: RatingServer
    raters: dict[str, Link]
    lead: Link

    def open_store(self) -> Store:
        return Store(self.folder / "ratings.sqlite")


@contextmanager
def served(root: Path, text: str = "", clips: int = 30, raters: Sequence[str] = ("anna", "ben")) -> Iterator[Served]:
    """Make a study and serve it."""
    data, folder, port = root / "DATA", root / "DATA-rating", free_port()
    make_clips(data, clips)
    write_study(folder, text, port)
    study, opened, _ = bring_into_force(folder, data, now_ms())
    base = f"http://127.0.0.1:{port}"
    with Store(folder / "ratings.sqlite") as store:
        links = {one.rater: Link(base, one.word) for one in invite(store, study, raters, 10, now_ms())}
        with store.all_or_nothing():
            lead = Link(base, make_link(store, Person("lead", ""), 10, now_ms()), browser="")
    with RatingServer(folder, study, opened) as server:
        yield Served(data, folder, server, links, lead)
        server.wait(0)
