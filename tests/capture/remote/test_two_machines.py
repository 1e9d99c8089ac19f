"""Two machines: each its own keys, a bad network between them, the real program on the far side."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import zmq

from bench.support.chaos.link_proxy import LinkProxy, free_ports
from capture.remote.losses import RecentLosses
from capture.remote.server import Questions, endpoints
from capture.remote.source import RemoteMicroscope
from capture.source import Condition, Frame, Pending, Source
from station.build_info import ROOT
from station.clock import now_ns
from station.command_line import exit_code_of
from station.errors import InputError
from station.machines import keys
from station.transport import machine_keys
from station.transport.bus import Publisher
from station.transport.control_messages import SourceInfo
from station.transport.messages import FrameHeader

SMALL = "[simulated]\nwidth = 320\nheight = 240\nfps = 30.0\n"


class Machine:
    """One with its own configuration folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        folder.mkdir()

    def here(self) -> None:
        self._monkeypatch.setenv("XDG_CONFIG_HOME", str(self.folder))

    @contextmanager
    def capture(self, port: int, more: str = "") -> Iterator["subprocess.Popen[str]"]:
        (self.folder / "small.toml").write_text(SMALL + more)
        command = [sys.executable, "run_station.py", "capture", "--bind", f"tcp://127.0.0.1:{port}"]
        with subprocess.Popen(
            [*command, "--config", str(self.folder / "small.toml")], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            env=os.environ | {"XDG_CONFIG_HOME": str(self.folder)},
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                while "research use" not in (line := process.stdout.readline()):
                    assert line, "it ended"
                yield process
            finally:
                process.terminate()
                assert process.wait(20) == 0


@pytest.fixture
def microscope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "microscope", monkeypatch)


@pytest.fixture
def grader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "grader", monkeypatch)


def introduce(microscope: Machine, grader: Machine) -> None:
    """Steps 1 to 3 of docs/two-machines.md."""
    microscope.here()
    of_microscope = machine_keys.make("microscope")
    grader.here()
    of_grader = machine_keys.make("grader")
    assert keys(["authorise", "microscope", of_microscope]) == 0
    microscope.here()
    assert keys(["authorise", "grader", of_grader]) == 0
    grader.here()


def frames_of(source: RemoteMicroscope, count: int, timeout_s: float = 30.0) -> list[Frame]:
    got: list[Frame] = []
    deadline = time.monotonic() + timeout_s
    while len(got) < count:
        assert time.monotonic() < deadline, source.condition
        frame = source.read()
        if isinstance(frame, Frame):
            got.append(frame)
    return got


@pytest.mark.slow
def test_frames_cross_a_bad_network_encrypted_and_a_cut_is_survived(microscope: Machine, grader: Machine) -> None:
    introduce(microscope, grader)
    port, _ = free_ports(2)
    with microscope.capture(port), LinkProxy([port, port + 1], delay_s=0.01) as network:
        with RemoteMicroscope(f"tcp://127.0.0.1:{network.ports[0]}") as source:
            assert (source.info.width, source.info.height, source.info.fps) == (320, 240, 30.0)
            got = frames_of(source, 30)
            for before, after in pairwise(got):
                assert after.t_source_ns > before.t_source_ns
            # Both ends have the same clock here: what is found as its offset is error, and within what is said.
            assert source.condition.clock_error_ms is not None
            assert 10.0 <= source.condition.clock_error_ms < 1000.0
            offset = source._clocks.offset
            assert offset is not None
            assert abs(offset[0]) <= offset[1]
            assert all(frame.t_exposure_ns is not None and frame.t_exposure_ns < now_ns() for frame in got)

            network.cut()
            deadline = time.monotonic() + 4.0
            while time.monotonic() < deadline:
                source.read()
            assert any("no frame from the other machine" in line for line in source.condition.notices)
            network.restore()
            later = frames_of(source, 20)
            missing = sum(frame.lost_before for frame in later)
            assert missing > 30, "a cut of four seconds at 30 frames a second"
            assert any("interrupted" in line for line in source.condition.notices)
        row = bytes(got[0].pixels[100])
        assert len(network.carried) > 30 * got[0].pixels.nbytes
        assert row[:24] not in network.carried, "a row of pixels went over the network as it is"
        assert b"frame" not in bytes(network.carried)


@pytest.mark.slow
def test_a_program_that_is_started_again_there_is_taken_up(microscope: Machine, grader: Machine) -> None:
    introduce(microscope, grader)
    port, _ = free_ports(2)
    with microscope.capture(port):
        source = RemoteMicroscope(f"tcp://127.0.0.1:{port}")
        first = frames_of(source, 10)
    with microscope.capture(port):
        again = frames_of(source, 30)  # the first few had come before
    with microscope.capture(port, "um_per_px = 0.125\n"), source, pytest.raises(InputError) as error:
        frames_of(source, 10**6)
    assert f"at 127.0.0.1:{port} was started again with 0.125 um/px instead of" in str(error.value)
    of_both = [*first, *again]
    assert all(after.t_source_ns > before.t_source_ns for before, after in pairwise(of_both))
    new = next(frame for frame in again if frame.exposure_id != first[-1].exposure_id)  # no window spans both
    assert new.lost_before > 0


@pytest.mark.slow
def test_without_keys_on_both_sides_nothing_is_readable(
    microscope: Machine, grader: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    introduce(microscope, grader)
    stranger = Machine(tmp_path / "stranger", monkeypatch)
    monkeypatch.setattr("capture.remote.source.ANSWER_S", 1.5)
    port, _ = free_ports(2)
    with microscope.capture(port), LinkProxy([port, port + 1]) as network:
        address = f"tcp://127.0.0.1:{network.ports[0]}"
        microscope.here()
        real = machine_keys.own_public()[1]
        stranger.here()
        with pytest.raises(InputError, match="keys make"):
            machine_keys.own()
        machine_keys.make("grader")  # the name is right, the key is not
        machine_keys.authorise("microscope", real)
        with pytest.raises(InputError, match="no answer"):
            RemoteMicroscope(address)
        grader.here()  # the right one, which expects another microscope's key
        machine_keys.remove("microscope")
        machine_keys.authorise("microscope", machine_keys.own_public()[1])
        with pytest.raises(InputError, match="no answer"):
            RemoteMicroscope(address)
        with zmq.Context() as context, context.socket(zmq.SUB) as plain:
            plain.linger = 0
            plain.subscribe(b"")
            plain.connect(address)
            assert not plain.poll(1500), "somebody without any key reads along"
    assert len(network.carried) < 20_000, "handshakes, and no frame"


class Simulation:
    """As much of a source as questions are answered from."""

    info = SourceInfo(name="there", width=32, height=24, fps=30.0)
    condition = Condition()


def test_frames_that_were_too_long_on_the_way_are_counted_and_not_shown(microscope: Machine, grader: Machine) -> None:
    introduce(microscope, grader)
    port, _ = free_ports(2)
    microscope.here()
    frames_at, questions_at = endpoints(f"tcp://127.0.0.1:{port}")
    with (
        zmq.Context() as context,
        Publisher(context, frames_at) as frames,
        Questions(context, questions_at, cast(Source, Simulation())),
    ):
        grader.here()

        def send(age_s: float) -> None:
            t_ns = now_ns()
            t_exposure_ns = t_ns - round(age_s * 1e9)
            header = FrameHeader(
                seq=frames.next_seq, t_exposure_ns=t_exposure_ns, t_source_ns=frames.next_seq + 1,
                t_sent_ns=t_exposure_ns, height=24, width=32,
            )  # fmt: skip
            frames.send(header, np.zeros((24, 32), np.uint8))

        with RemoteMicroscope(f"tcp://127.0.0.1:{port}") as source:
            assert frames.wait_for_readers(1, lambda: True)
            send(3.0)
            send(0.0)
            assert frames_of(source, 1)[0].lost_before == 1
            for _ in range(5):
                send(3.0)
            deadline = time.monotonic() + 20.0
            while source.condition.lost < 5:
                assert source.read() is Pending.NOTHING_YET
                assert time.monotonic() < deadline, "they are counted although nothing is shown after them"
            send(0.3)
            (late,) = frames_of(source, 1)
            assert late.lost_before == 5, "what came too old was lost"
            assert late.arrived_ns is not None
            assert late.arrived_ns > (late.t_exposure_ns or 0)
            (said,) = [line for line in source.condition.notices if "too slow" in line]
            assert said.startswith("the network to the other machine is too slow: of 8 frames in 10 s 0 were lost")
            assert "6 came too old" in said


def test_what_is_said_of_a_network_and_when_it_is_not_said_any_more() -> None:
    losses, second = RecentLosses(), 1_000_000_000
    for number in range(100):
        losses.note(number * second // 10, 0, too_old=False)
    assert losses.notice(10 * second) == ""
    losses.note(10 * second, 9, too_old=False)
    assert losses.notice(10 * second) == "", "less than one in ten"
    losses.note(10 * second, 3, too_old=False)
    assert ": of 114 frames in 10 s 12 were lost" in losses.notice(10 * second)
    assert losses.notice(21 * second) == ""


def test_what_cannot_be_is_one_line(grader: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    grader.here()

    def asked(*words: str) -> str:
        assert exit_code_of(keys, words) == 2
        return capsys.readouterr().err

    assert "expected up to 40 small letters" in asked("make", "Mikroskop 1")
    assert "64 hexadecimal digits" in asked("authorise", "other", "abc")
    assert "is not authorised" in asked("remove", "other")
    assert exit_code_of(keys, ["make", "grader"]) == 0
    assert "has keys already" in asked("make", "grader")
    assert exit_code_of(keys, ["authorise", "other", "a" * 64]) == 0
    assert "another key already" in asked("authorise", "other", "b" * 64)
    assert exit_code_of(keys, ["list"]) == 0
    listed = capsys.readouterr().out
    assert machine_keys.own_public()[1] in listed
    assert "a" * 64 in listed
    assert (machine_keys.folder() / "own.json").stat().st_mode & 0o077 == 0
    own = machine_keys.folder() / "own.json"
    before = own.read_text()
    own.write_text(before.replace(machine_keys.own_public()[1], "a" * 64))
    with pytest.raises(InputError, match="its two keys are no pair"):
        machine_keys.own()
    own.write_text(before)
    for address in ("tcp://192.0.2.1:5570", "tcp://nohost.invalid:5570"):
        with zmq.Context() as context, pytest.raises(InputError, match="give an address of this machine"):
            Publisher(context, endpoints(address)[0])
    for kind in ("tcp://host", "tcp://host:0", "tcp://un known@host:5570", "tcp://nobody@host:5570"):
        with pytest.raises(InputError, match="source"):
            RemoteMicroscope(kind)
    (machine_keys.folder() / "own.json").chmod(0o644)
    with pytest.raises(InputError, match="others can read"):
        machine_keys.own()
