"""A blind study: no grade leaves any socket, page, answer, screen or file before the mark; after it, all of them do.

What must not get out is known afterwards, from the record: the very numbers of the grades of before the mark are looked
for, in every form in which a number is written here, in everything that could be read until then.
"""

import contextlib
import json
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from websockets.exceptions import ConnectionClosed

from station.archive.moments import choices
from station.archive.story import read_story
from station.clock import now_ns
from station.session.records import ActionRecord, GradesRecord
from station.session.session_reader import Session
from station.transport.endpoints import Endpoint
from station.transport.messages import GradeInfo
from tests.run_station.test_commands import Run, running
from tests.run_station.test_keys import Terminal, actions
from tests.support.page_client import next_picture, open_page, say
from tests.support.station_program import ROOT, Station, wait_for

pytestmark = pytest.mark.slow


class Eavesdropper(threading.Thread):
    """Anybody's subscriber to all that a station sends."""

    def __init__(self, *endpoints: Endpoint) -> None:
        super().__init__(name="eavesdropper")
        self.heard: list[bytes] = []
        self._endpoints = endpoints
        self._stop_listening = threading.Event()

    def run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger = 0
            socket.subscribe(b"")
            for endpoint in self._endpoints:
                endpoint.connect(socket)
            while not self._stop_listening.is_set():
                if socket.poll(50, zmq.POLLIN):
                    self.heard += socket.recv_multipart()[:2]  # pixels are no grades

    def __enter__(self) -> "Eavesdropper":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop_listening.set()
        self.join()


class Onlooker(threading.Thread):
    """A page that looks on and keeps every word that it is sent."""

    def __init__(self, link: str) -> None:
        super().__init__(name="onlooker")
        self.heard: list[bytes] = []
        self.graded = threading.Event()
        self._link = link
        self._stop_looking = threading.Event()

    def run(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionClosed), open_page(self._link) as page:
            say(page, kind="look", scale=0.1, cards=[])
            while not self._stop_looking.is_set():
                head, _, _ = next_picture(page, 20.0)
                say(page, kind="shown", frame_seq=head["frame_seq"])
                self.heard.append(json.dumps(head).encode())
                if any(card["grade"] for card in head["cards"]):
                    self.graded.set()

    def __enter__(self) -> "Onlooker":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop_looking.set()
        self.join()


def files_of(station: Station) -> list[bytes]:
    """All that lies in any file of the program: session, tables, runtime and temporary folder."""
    found = []
    for path in station.folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and path.suffix != ".mkv":
                found.append(path.read_bytes())
    return found


def forms(grades: list[GradeInfo]) -> list[bytes]:
    """How the numbers of these grades look as MessagePack, JSON, CSV, and in a table's columns."""
    values = {value for grade in grades for five in (grade.grade, *grade.heads) for value in five if 1e-4 < value < 1}
    found: list[bytes] = []
    for value in values:
        # Of what is written in digits the first nine will do; six are some other number's as well, now and then.
        found += [struct.pack(">d", value), struct.pack("<d", value), f"{value:.9f}"[:-1].encode()]
    return found


def seen_in(texts: list[bytes], grades: list[GradeInfo]) -> int:
    everything = b"\n".join(texts)
    return sum(form in everything for form in forms(grades))


def grades_of(session: Path) -> list[GradeInfo]:
    records = (event.record for event in Session(session).events())
    return [grade for record in records if isinstance(record, GradesRecord) for grade in record.header.grades]


@contextlib.contextmanager
def blind_run(station: Station, *options: str) -> Iterator[tuple[Run, Eavesdropper, Onlooker]]:
    with running(station, "--blind", "--view", "--select", "auto:3", *options) as run:
        entry = run.entry
        with (
            Eavesdropper(*map(entry.endpoint, ("frames", "windows", "tracks", "grades"))) as listener,
            Onlooker(run.line("view").split()[1]) as page,
        ):
            yield run, listener, page


def withheld(run: Run) -> bool:
    """Whether windows have been graded for a while, so that there is something to leak."""
    time.sleep(0.2)  # a station answers 20 times a second, and others ask as well
    status = run.status()
    return status["frame_seq"] > 120 and any(sperm["filled"] >= 16 for sperm in status["sperm"])


def followed(run: Run) -> list[int]:
    """The sperm that can be marked while grades are hidden."""
    return [one["sperm_id"] for one in run.status()["sperm"] if one["state"] != "lost" and not one["marked"]]


def chosen_now(run: Run) -> int | None:
    """Mark one that is tracked, and return its number; None where all have swum away by then."""
    if not followed(run):
        run.shell("select", "next")
    for number in followed(run):
        if run.shell("mark", str(number)).stdout == f"sperm {number} marked as chosen (grades are shown now)\n":
            return number
    return None


def shown(run: Run) -> bool:
    """Whether a grade is shown again."""
    time.sleep(0.2)
    return any(sperm["grade"] for sperm in run.status()["sperm"])


def test_no_grade_gets_out_before_the_mark_and_all_of_them_after(station: Station) -> None:
    with blind_run(station) as (run, listener, page):
        assert run.status()["blind"]
        wait_for(lambda: withheld(run), 60.0)
        answers = [run.shell("status").stdout, run.shell("status", "--json").stdout]
        assert "hidden until a choice is marked" in answers[0]
        assert [sperm["grade"] for sperm in json.loads(answers[1])["sperm"]] == [None] * len(run.tracked())
        for words in (("unblind",), ("blind",)):
            refused = run.shell(*words)
            assert (refused.returncode, refused.stdout) == (1, "")
            answers.append(refused.stderr)
        assert "blind study" in answers[-2]
        assert not page.graded.is_set()
        before = [*listener.heard, *page.heard, *files_of(station), *(answer.encode() for answer in answers)]
        t_before_ns = now_ns()

        chosen = wait_for(lambda: chosen_now(run), 60.0)
        assert page.graded.wait(30.0), "the page shows grades again"
        wait_for(lambda: shown(run))
        after_heard = len(listener.heard)
        assert run.done("blind") == "grades are hidden until a choice is marked\n", "for the next choice"
        assert run.status()["blind"]
        assert [sperm["grade"] for sperm in run.status()["sperm"]] == [None] * len(run.tracked())
        again = run.shell("mark", str(chosen))
        assert (again.returncode, "is already marked" in again.stderr) == (1, True)
        assert run.status()["blind"], "what is refused shows nothing"
        assert wait_for(lambda: chosen_now(run), 60.0) != chosen
        run.done("quit")
        run.process.communicate(timeout=30.0)
    (session,) = (station.folder / "sessions").iterdir()
    records = [event.record for event in Session(session).events()]
    deeds = [r.action for r in records if isinstance(r, ActionRecord) and r.action.name in ("mark", "unblind", "blind")]
    assert [(deed.name, deed.asked_by) for deed in deeds] == [
        ("mark", "shell"), ("unblind", "shell"), ("blind", "shell"), ("mark", "shell"), ("unblind", "shell"),
    ]  # fmt: skip
    assert next(deed.sperm_id for deed in deeds if deed.name == "mark") == chosen
    story = read_story(session)
    first, second = choices(story)
    assert (first.blind, first.hidden_since_s) == (True, None)
    assert second.blind is (second.hidden_since_s is None), "hidden in any case; blind if nobody there had been graded"
    old = [grade for grade in grades_of(session) if grade.trace.t_grade_ns < t_before_ns]
    assert old, "the record has what was withheld, with its times"
    graded_ns = [grade.trace.t_grade_ns for grade in grades_of(session)]
    assert graded_ns == sorted(graded_ns)
    assert seen_in(before, old) == 0
    assert seen_in(listener.heard[:after_heard], old) > 0, "the search finds grades where there are any"
    assert seen_in(page.heard, old) > 0
    assert seen_in(files_of(station), old) > 0
    assert station.left() == []


def test_a_run_that_ends_without_a_mark_keeps_its_grades_to_itself(station: Station) -> None:
    summary = station.folder / "summary.json"
    with blind_run(station, "--summary", str(summary)) as (run, listener, _):
        wait_for(lambda: withheld(run), 60.0)
        run.process.send_signal(signal.SIGTERM)
        output, _ = run.process.communicate(timeout=30.0)
    assert re.search(r"blind to the end: no choice was marked, so \d+ grades", " ".join(output.split()))
    assert "grades hidden" in output
    assert "RoSTFine grade" not in output
    document = json.loads(summary.read_text())
    assert document["withheld"] > 0
    assert [sperm["last"] for sperm in document["sperm"]] == [None] * len(document["sperm"])
    (session,) = (station.folder / "sessions").iterdir()
    assert grades_of(session) == []
    assert len((session / "tables" / "grades.csv").read_text().splitlines()) == 1
    assert b"grades" not in {part for part in listener.heard if len(part) < 10}


def test_blindness_that_could_not_be_kept_is_refused_and_b_hides_grades_on_the_terminal(station: Station) -> None:
    sessions = station.folder / "sessions"
    with Terminal(station, "--select", "auto:4", "--session", str(sessions)) as terminal:
        terminal.wait(lambda text: re.search(r"[1-9]\d* frames, 0 lost", text))
        terminal.insist("b", r"BLIND: grades are hidden")
        # What is lost gives way first: it could not be marked.
        terminal.insist("anm", r"marked as chosen \(grades are shown now\)")
        terminal.insist("b", r"Grades are hidden until a choice is marked")
        terminal.insist("b", r"Grades are shown again")  # refused until the engine has confirmed the one before
        terminal.press("qq", r"ended   by key q")
        terminal.exit_code()
    (recorded,) = sessions.iterdir()
    asked = [name for name, _, asker in actions(sessions) if asker == "screen" and name != "replace_lost"]
    assert (asked[:3], asked[-1]) == (["blind", "mark", "unblind"], "key q")
    pairs = asked[3:-1]  # more than one where an answer came late and the key was pressed again
    assert pairs == ["blind", "unblind"] * (len(pairs) // 2) != []
    for options, why in (
        (("--blind", "--no-record"), "choice and grades are kept in the recording"),
        (("--blind", "--source", f"replay:{recorded}"), "a replay's grades can be read in its recording"),
    ):
        done = subprocess.run(
            station.command(*options, "--headless"), cwd=ROOT, env=station.environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
