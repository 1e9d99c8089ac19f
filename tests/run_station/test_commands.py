"""A running station is asked from a shell and over its socket: every command, through the real program."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq

from station.commands.client import CommandClient
from station.commands.registry import RunningStation
from station.commands.requests import (
    CameraRequest,
    CandidatesRequest,
    Outcome,
    Reply,
    Request,
    SelectRequest,
    StatusRequest,
)
from station.session.records import ActionRecord, FrameRecord, HelloRecord, KeepRecord
from station.session.session_reader import Session
from station.transport.endpoints import Endpoint
from station.transport.hello import HelloHeader
from station.transport.wire import decode
from tests.support.station_program import ROOT, SMALL, Station, wait_for

pytestmark = pytest.mark.slow


@dataclass
class Run:
    """A station that runs, and the ways to ask it."""

    station: Station
    process: "subprocess.Popen[str]"
    name: str
    said: list[str] = field(default_factory=list)

    def line(self, first: str) -> str:
        """The line of its output that begins like that."""
        while not (found := [line for line in self.said if line.startswith(first)]):
            assert self.process.stdout is not None
            self.said.append(self.process.stdout.readline())
            assert self.said[-1], self.process.stderr.read() if self.process.stderr else ""
        return found[0]

    def shell(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "run_station.py", *words], cwd=ROOT, env=self.station.environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def done(self, *words: str) -> str:
        answer = self.shell(*words)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    @property
    def entry(self) -> RunningStation:
        path = self.station.folder / "runtime" / "rostfine" / f"{self.name}.json"
        return RunningStation.model_validate_json(path.read_text())

    def ask(self, request: Request) -> Reply:
        entry = self.entry
        with zmq.Context() as context, CommandClient(context, entry.endpoint("commands")) as client:
            return client.ask(request.model_copy(update={"key": entry.key}))

    def status(self) -> dict[str, Any]:
        reply = self.ask(StatusRequest(key=""))
        assert reply.status is not None, reply.text
        return reply.status.model_dump()

    def tracked(self) -> set[int]:
        return {sperm["sperm_id"] for sperm in self.status()["sperm"]}


@contextmanager
def running(station: Station, *options: str, name: str = "station") -> Iterator[Run]:
    command = station.command(*station.small, "--headless", "--session", str(station.folder / "sessions"), *options)
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        stack.callback(lambda: process.poll() is None and process.send_signal(signal.SIGTERM))
        assert process.stdout is not None
        run = Run(station, process, name)
        run.line("record" if "--no-record" not in options else "model")
        wait_for(lambda: run.status()["frame_seq"] is not None)
        yield run


def hello_on(endpoint: Endpoint) -> HelloHeader:
    """What somebody hears who joins late."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(b"hello")
        endpoint.connect(socket)
        assert socket.poll(20_000, zmq.POLLIN), "no hello"
        header, _ = decode(socket.recv_multipart())
        assert isinstance(header, HelloHeader)
        return header


def test_a_session_at_the_shell_from_select_to_quit(station: Station) -> None:
    steady = station.folder / "steady.toml"  # here the operator alone decides who is tracked
    steady.write_text(f"replace_lost_s = 0\n{SMALL}")
    with running(station, "--config", str(steady), "--record", "keep", "--select", "auto:2") as run:
        wait_for(lambda: len(run.tracked()) == 2)
        first, second = sorted(run.tracked())
        status = json.loads(run.done("status", "--json"))
        assert (status["source"], status["fps"], status["state"]) == ("simulated microscope", 15.0, "RUNNING")
        assert "research use only" in status["notice"]
        hello = hello_on(run.entry.endpoint("grades"))
        assert (hello.source.fps, hello.source.um_per_px, hello.model.name) == (15.0, 0.25, status["model"])
        assert hello.program.startswith("rostfine-station ")
        assert hello_on(run.entry.endpoint("tracks")).model == hello.model
        text = run.done("status")
        assert f"sperm {first:>2}" in text
        assert "DEMONSTRATION" in text

        assert run.done("release", str(first)) == f"sperm {first} released\n"
        assert re.match(r"\d+ heads that nobody follows", run.ask(CandidatesRequest(key="")).text)
        third = int(re.match(r"sperm (\d+) selected at", run.done("select", "next"))[1])
        assert run.tracked() == {second, third}
        where = next(sperm for sperm in run.status()["sperm"] if sperm["sperm_id"] == third)
        run.done("select", "previous")
        assert run.tracked() == {second}
        selected = run.done("select", f"{where['x']:.0f},{where['y']:.0f}")
        match = re.match(r"sperm (\d+) selected at (\d+), (\d+), the head nearest to", selected)
        assert match is not None, selected
        chosen = int(match[1])
        assert abs(int(match[2]) - where["x"]) + abs(int(match[3]) - where["y"]) < 60
        assert run.tracked() == {second, chosen}

        assert run.done("mark", str(chosen), "--note", "straight tail") == (
            f"sperm {chosen} marked as chosen: straight tail\n"
        )
        assert {s["sperm_id"] for s in run.status()["sperm"] if s["marked"]} == {chosen}
        run.done("note", "second", "dish")
        kept = run.shell("keep")  # on a busy machine the recorder may need longer than the answer
        assert kept.stdout.startswith("kept ") or "has not confirmed yet" in kept.stderr
        lost = run.shell("replace-lost")
        none_lost = "no sperm is lost" in lost.stderr
        assert "lost sperm released" in lost.stdout or none_lost or "has not confirmed it yet" in lost.stderr

        for words, code, why in (
            (("release", "99"), 1, "sperm 99 is not tracked; tracked are "),
            (("mark", "99"), 1, "there is no sperm 99"),
            (("select", "5000,10"), 1, "lies outside the frame of 480 x 360 px"),
            (("select", "here"), 2, "expected a point X,Y"),
            (("release", "three"), 2, "expected its number"),
            (("status", "--station", "other"), 2, "no station named other is running; running: station"),
        ):
            refused = run.shell(*words)
            assert (refused.returncode, refused.stdout) == (code, ""), words
            assert why in refused.stderr
            assert refused.stderr.count("\n") == 1

        assert run.done("quit") == "the run is ending\n"
        output, errors = run.process.communicate(timeout=20.0)
        assert (run.process.returncode, errors) == (0, "")
        assert "ended   by request (shell)" in output
        nobody = run.shell("status")
        assert (nobody.returncode, nobody.stderr) == (2, "rostfine: no station is running; start one first\n")
    (folder,) = (station.folder / "sessions").iterdir()
    events = [event.record for event in Session(folder).events()]
    asked = [record.action for record in events if isinstance(record, ActionRecord) and record.action.asked_by]
    assert {action.asked_by for action in asked} == {"shell"}
    assert [action.name for action in asked] == [
        "release", "select_next", "select_previous", "select", "mark", "note", "keep",
        *([] if none_lost else ["replace_lost"]), "quit",
    ]  # fmt: skip
    assert asked[4].details == f"sperm {chosen} marked as chosen: straight tail"
    assert asked[5].details == "second dish"
    assert any(isinstance(record, KeepRecord) for record in events)
    (said,) = (record.header for record in events if isinstance(record, HelloRecord))
    assert said.model_copy(update={"seq": hello.seq}) == hello
    assert station.left() == []


def test_the_socket_answers_within_a_second_and_grading_goes_on_in_a_flood(station: Station) -> None:
    with running(station, "--no-record", "--select", "auto:2") as run:
        slowest = 0.0
        for x in range(100, 400, 60):
            start = time.monotonic()
            reply = run.ask(SelectRequest(key="", x=float(x), y=180.0))
            slowest = max(slowest, time.monotonic() - start)
            assert reply.outcome in (Outcome.DONE, Outcome.REFUSED), reply
        assert slowest < 1.3, "a second, and the time to connect"
        assert run.ask(SelectRequest(key="", x=1e9, y=0.0)).outcome is Outcome.REFUSED
        before = run.status()
        entry, end = run.entry, time.monotonic() + 3.0
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            entry.endpoint("commands").connect(socket)
            while time.monotonic() < end:
                for _ in range(100):
                    if not socket.poll(0, zmq.POLLOUT):
                        break
                    socket.send_multipart([b"request", os.urandom(200)], zmq.DONTWAIT)
                time.sleep(0.005)
        after = run.status()
        assert after["frame_seq"] - before["frame_seq"] > 25, "15 frames a second, three seconds"
        assert after["alarms"] == []


def test_a_replay_refuses_to_select_and_a_stopped_station_says_nothing(station: Station) -> None:
    station.run(*station.small, "--duration", "2", "--session", str(station.folder / "sessions"))
    (recorded,) = (station.folder / "sessions").iterdir()
    with running(station, "--source", f"replay:{recorded}", "--no-record", "--name", "again", name="again") as run:
        refused = run.ask(SelectRequest(key="", x=10.0, y=10.0))
        assert (refused.outcome, refused.text) == (
            Outcome.REFUSED,
            "a replay follows the sperm that were selected in the recording",
        )
        assert run.entry.source is not None
        assert hello_on(run.entry.endpoint("grades")).source.um_per_px == 0.25


def test_killed_runs_leave_no_station_to_be_found(station: Station) -> None:
    with running(station, "--no-record") as run:
        entry = run.entry
        run.process.kill()
        run.process.wait()
        wait_for(lambda: not Path(entry.folder).exists())
        nobody = run.shell("keep")
        assert (nobody.returncode, nobody.stderr) == (2, "rostfine: no station is running; start one first\n")
        assert list((station.folder / "runtime" / "rostfine").iterdir()) == []


def test_the_camera_is_set_and_what_it_accepted_is_read_back(station: Station, emulator: tuple[str, ...]) -> None:
    toml = station.folder / "camera.toml"
    toml.write_text("[camera]\nwidth = 320\nheight = 240\nfps = 20\nexposure_us = 1000\n")
    with running(station, "--config", str(toml), "--source", f"basler:{emulator[0]}", "--record", "all") as run:
        assert run.done("camera", "exposure_us=2500").startswith("camera: exposure_us 2500")
        assert run.done("camera", "trigger=line1", "gain=1").strip().endswith(", trigger line1")
        assert run.status()["source"].startswith("Basler")
        assert run.done("camera", "trigger=off").strip().endswith(", trigger off"), "frames come again"
        refused = run.shell("camera", "trigger=line4")
        assert "the camera has no 'Line4'" in refused.stderr
        refused = run.shell("camera", "exposure_us=1e12")
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "outside the camera's range" in refused.stderr
        for word, why in (
            ("exposure_us=long", "expected a number"),
            ("trigger=door", "one of off, line1"),
            ("focus=1", "exposure_us=VALUE, gain=VALUE or trigger=LINE"),
        ):
            wrong = run.shell("camera", word)
            assert (wrong.returncode, wrong.stdout) == (2, "")
            assert why in wrong.stderr
        run.done("quit")
        run.process.communicate(timeout=20.0)
    (folder,) = (station.folder / "sessions").iterdir()
    events = [event.record for event in Session(folder).events()]
    asked = [e.action for e in events if isinstance(e, ActionRecord) and e.action.name == "camera"]
    assert asked[0].details.startswith("camera: exposure_us 2500")
    assert [action.details.rpartition(" ")[2] for action in asked[1:]] == ["line1", "off"]
    assert len({e.header.exposure_id for e in events if isinstance(e, FrameRecord)}) > 1


def test_a_file_has_no_exposure_to_set(station: Station) -> None:
    with running(station, "--no-record") as run:
        reply = run.ask(CameraRequest(key="", exposure_us=1000.0))
        assert (reply.outcome, reply.text) == (
            Outcome.REFUSED,
            "simulated microscope has no exposure, gain or trigger to set",
        )
