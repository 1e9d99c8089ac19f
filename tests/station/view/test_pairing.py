import numpy as np
import pytest

from station.transport.buffers import Received
from station.transport.messages import FrameHeader, KinematicsInfo, Trace, TrackInfo, TracksHeader, TrackState
from station.view import pairing
from station.view.pairing import MOST_WAITING, WAIT_S, Pairing

S = 1_000_000_000


def frame(seq: int, t_received_ns: int = 0) -> Received:
    header = FrameHeader(seq=seq, t_exposure_ns=seq, t_source_ns=seq, t_sent_ns=seq, height=2, width=3)
    return Received(header, np.full((2, 3), seq % 256, np.uint8), t_received_ns)


def tracks(frame_seq: int) -> Received:
    trace = Trace(t_exposure_ns=0, t_sent_ns=0)
    return Received(TracksHeader(seq=0, frame_seq=frame_seq, trace=trace, window_frames=16, tracks=[]), None, 0)


def shown(found: Pairing) -> tuple[int, int | None] | None:
    shot = found.newest
    return None if shot is None else (shot.header.seq, shot.tracks.frame_seq if shot.tracks else None)


@pytest.fixture
def newer() -> list[int]:
    return []


@pytest.fixture
def found(newer: list[int]) -> Pairing:
    return Pairing(lambda: newer.append(1))


def test_a_frame_waits_for_its_own_tracks(found: Pairing, newer: list[int]) -> None:
    found.add_frame(frame(0))
    found.add_frame(frame(1))
    assert shown(found) is None
    found.add_tracks(tracks(0))
    assert shown(found) == (0, 0)
    found.add_tracks(tracks(1))
    assert shown(found) == (1, 1)
    assert len(newer) == 2


def test_tracks_may_come_before_their_frame(found: Pairing) -> None:
    found.add_tracks(tracks(4))
    found.add_frame(frame(4))
    assert shown(found) == (4, 4)


def test_a_frame_that_the_tracker_dropped_is_passed_over_and_counted(found: Pairing) -> None:
    for seq in range(4):
        found.add_frame(frame(seq))
    found.add_tracks(tracks(0))
    found.add_tracks(tracks(3))
    assert shown(found) == (3, 3)
    assert found.passed_over == 2


def test_old_tracks_never_bring_an_older_picture_back(found: Pairing) -> None:
    found.add_frame(frame(5))
    found.add_tracks(tracks(5))
    found.add_frame(frame(3))
    found.add_tracks(tracks(3))
    assert shown(found) == (5, 5)


def test_a_silent_tracker_does_not_hide_the_field(found: Pairing) -> None:
    found.add_frame(frame(0, 0))
    found.add_frame(frame(1, int(WAIT_S * S) + 1))
    assert shown(found) == (1, None)
    assert found.without_tracks == 1


def test_what_waits_is_bounded_in_number(found: Pairing) -> None:
    for seq in range(3 * MOST_WAITING):
        found.add_frame(frame(seq))
        found.add_tracks(tracks(1000 + seq))
    assert found.waiting == (MOST_WAITING, MOST_WAITING)


def test_what_waits_is_bounded_in_bytes(found: Pairing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "MOST_BYTES", 20)
    for seq in range(10):
        found.add_frame(frame(seq))
    assert found.waiting[0] == 3


def test_kinematics_of_a_frame_that_is_passed_over_are_kept_for_a_while(found: Pairing) -> None:
    swims = KinematicsInfo(vcl_um_s=80.0, motility="rapidly progressive", rate_hz=15.0)
    track = TrackInfo(sperm_id=3, x=1.0, y=1.0, state=TrackState.LOCKED, score=1.0, filled=16, kinematics=swims)
    trace = Trace(t_exposure_ns=10 * S, t_sent_ns=0)
    header = TracksHeader(seq=0, frame_seq=7, trace=trace, window_frames=16, tracks=[track])
    found.add_tracks(Received(header, None, 0))
    assert found.kinematics_at(11 * S) == {3: swims}
    assert found.kinematics_at(12 * S) == {}
    found.add_tracks(tracks(8))  # the sperm is tracked no longer
    assert found.kinematics_at(11 * S) == {}
