"""The command socket over real sockets, before a real supervisor: keys, nonsense, floods, askers that do not read."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import msgpack
import pytest
import zmq

from station.commands.client import CommandClient
from station.commands.operator import PATIENCE_S, Operator
from station.commands.requests import (
    MAX_REQUEST_BYTES,
    REQUEST,
    BlindRequest,
    KeepRequest,
    MarkRequest,
    NoteRequest,
    Outcome,
    QuitRequest,
    ReleaseRequest,
    Reply,
    SelectRequest,
    StatusRequest,
    UnblindRequest,
    decode_reply,
    encode_request,
)
from station.commands.server import MOST_PER_ROUND, MOST_PER_S, CommandServer
from station.config import Config
from station.dashboard.monitor import Monitor
from station.processes.supervisor import Supervisor
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState
from station.transport.endpoints import Endpoints, private_endpoints
from station.transport.messages import Trace, TrackInfo, TracksHeader, TrackState

Context = zmq.Context[zmq.Socket[bytes]]
PATIENT = dict.fromkeys(PIPELINE, "tests.station.processes.children.patient")
WITHHOLDING = PATIENT | {ProcessName.ENGINE: "tests.station.processes.children.withholding"}


@dataclass
class Desk:
    """The main process's part in a run, and a raw socket to it."""

    endpoints: Endpoints
    supervisor: Supervisor
    server: CommandServer
    socket: "zmq.Socket[bytes]"

    def turn(self, seconds: float) -> None:
        """What the main loop does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.supervisor.poll(0.02)
            self.server.poll()

    def reply(self, timeout_s: float = 5.0) -> list[bytes]:
        end = time.monotonic() + timeout_s
        while not self.socket.poll(0, zmq.POLLIN):
            assert time.monotonic() < end, "no reply"
            self.turn(0.02)
        return self.socket.recv_multipart()

    def ask(self, *parts: bytes) -> Reply:
        self.socket.send_multipart(parts)
        return decode_reply(self.reply())


@pytest.fixture
def desk(context: Context, request: pytest.FixtureRequest) -> Iterator[Desk]:
    modules = getattr(request, "param", PATIENT)
    with ExitStack() as stack:
        endpoints = stack.enter_context(private_endpoints())
        monitor = stack.enter_context(Monitor(context, Config(), endpoints))
        supervisor = stack.enter_context(Supervisor(context, Config(), endpoints, modules))
        operator = Operator(Config(), supervisor, monitor)
        server = stack.enter_context(CommandServer(context, endpoints, operator))
        socket = stack.enter_context(context.socket(zmq.DEALER))
        socket.linger = 0
        endpoints.commands.connect(socket)
        yield Desk(endpoints, supervisor, server, socket)


def test_status_is_answered_from_the_first_moment_on(desk: Desk) -> None:
    reply = desk.ask(*encode_request(StatusRequest(id=7, key=desk.endpoints.key)))
    assert (reply.id, reply.name, reply.done) == (7, "status", True)
    assert reply.status is not None
    assert reply.status.state == "STARTING"
    assert "research use only" in reply.status.notice


def test_hiding_and_showing_wait_for_one_another(desk: Desk) -> None:
    """Else the engine's word of before answers the second at once, then the first: "hidden", with the grades shown."""
    desk.supervisor.hide_grades(blind=True)
    desk.socket.send_multipart(encode_request(UnblindRequest(id=1, key=desk.endpoints.key)))
    reply = desk.ask(*encode_request(BlindRequest(id=2, key=desk.endpoints.key)))
    assert (reply.id, reply.done) == (2, False)
    assert "repeat it in a moment" in reply.text
    assert decode_reply(desk.reply()).id == 1, "the first is answered, if only by what is not known"
    assert "repeat it" not in desk.ask(*encode_request(BlindRequest(id=3, key=desk.endpoints.key))).text


@pytest.mark.parametrize("desk", [WITHHOLDING], indirect=True)
def test_hiding_at_once_after_a_mark_is_not_answered_by_the_word_of_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Operator, "why_not_recorded", "")
    statuses, key = desk.supervisor.statuses, desk.endpoints.key
    end = time.monotonic() + 60.0
    while ProcessName.ENGINE not in statuses or statuses[ProcessName.ENGINE].state is not ProcessState.RUNNING:
        assert time.monotonic() < end
        desk.turn(0.01)
    assert desk.ask(*encode_request(BlindRequest(id=1, key=key))).text == "grades are hidden until a choice is marked"
    shown = desk.supervisor.hide_grades(blind=False)  # as a mark does
    assert desk.ask(*encode_request(BlindRequest(id=2, key=key))).done
    engine = statuses[ProcessName.ENGINE]
    assert (engine.obeyed or 0) > shown, "it was said to be done before the engine had heard of it"
    assert engine.withheld == 0


def test_a_req_socket_is_answered_too(desk: Desk, context: Context) -> None:
    with context.socket(zmq.REQ) as socket:
        desk.endpoints.commands.connect(socket)
        socket.send_multipart(encode_request(StatusRequest(key=desk.endpoints.key)))
        while not socket.poll(0, zmq.POLLIN):
            desk.turn(0.02)
        assert decode_reply(socket.recv_multipart()).done


NONSENSE = {
    "one part": [b"request"],
    "no map": [REQUEST, b"\x01"],
    "no MessagePack": [REQUEST, b"\xc1\xff"],
    "unknown": [REQUEST, msgpack.packb({"v": 1, "key": "k", "name": "inject"})],
    "ill-typed": [REQUEST, msgpack.packb({"v": 1, "key": "k", "name": "release", "sperm_id": "3"})],
    "another version": [REQUEST, msgpack.packb({"v": 9, "key": "k", "name": "keep"})],
    "too large": [REQUEST, bytes(2 * MAX_REQUEST_BYTES)],
    "many parts": [REQUEST] * 20,
}


def test_what_is_no_request_is_answered_in_words(desk: Desk) -> None:
    for sent in NONSENSE.values():
        reply = desk.ask(*sent)
        assert (reply.outcome, reply.name) == (Outcome.INVALID, "")
        assert "not a request of version 1" in reply.text
    assert desk.server.unreadable == len(NONSENSE)


def test_without_the_key_of_the_run_nothing_is_done(desk: Desk) -> None:
    for key in ("", "k", desk.endpoints.key[:-1], desk.endpoints.key + "x", "ü"):
        reply = desk.ask(*encode_request(QuitRequest(key=key)))
        assert (reply.outcome, reply.name) == (Outcome.INVALID, "quit")
        assert desk.endpoints.key not in reply.text
    assert desk.server.operator.ended == ""


def test_what_cannot_be_done_is_refused_with_the_reason(desk: Desk) -> None:
    key = desk.endpoints.key
    for request, why in (
        (SelectRequest(key=key, x=1.0, y=2.0), "the tracker is not running"),
        (ReleaseRequest(key=key, sperm_id=1), "the tracker is not running"),
        (MarkRequest(key=key, sperm_id=1), "recording has not started yet"),
        (NoteRequest(key=key, text="note"), "recording has not started yet"),
        (KeepRequest(key=key), "recording has not started yet"),
    ):
        reply = desk.ask(*encode_request(request))
        assert (reply.outcome, reply.name, reply.text) == (Outcome.REFUSED, request.name, why)


def test_a_mark_is_of_what_is_not_marked_yet_and_while_grades_are_hidden_of_what_is_tracked(desk: Desk) -> None:
    operator, monitor = desk.server.operator, desk.server.operator._monitor
    trace = Trace(t_exposure_ns=1, t_sent_ns=1)
    tracks = [
        TrackInfo(sperm_id=number, x=9.0, y=9.0, state=state, score=0.5, filled=0)
        for number, state in ((1, TrackState.LOCKED), (2, TrackState.LOST), (3, TrackState.LOCKED))
    ]
    monitor._newest_tracks |= {track.sperm_id: track for track in tracks}
    monitor._tracks = TracksHeader(seq=0, frame_seq=0, trace=trace, window_frames=4, tracks=tracks[:2])

    def answers(*sperm: int) -> list[str]:
        replies = [operator._mark(MarkRequest(key=desk.endpoints.key, sperm_id=number)) for number in sperm]
        return [reply.text if reply.done else f"refused: {reply.text}" for reply in replies]

    desk.supervisor.blind = True
    why = "and this mark would show the grades: mark a sperm that is tracked"
    assert answers(2, 3, 4) == [
        f"refused: sperm 2 is lost, {why}",
        f"refused: sperm 3 is not tracked any more, {why}",
        "refused: there is no sperm 4; tracked are 1, 2",
    ]
    assert answers(1, 1) == ["sperm 1 marked as chosen (grades are shown now)", "refused: sperm 1 is already marked"]
    desk.supervisor.blind = False
    assert answers(1, 2, 3) == [
        "refused: sperm 1 is already marked", "sperm 2 marked as chosen", "sperm 3 marked as chosen",
    ]  # fmt: skip


def test_while_the_tracker_is_away_nothing_is_passed_on_and_marks_are_kept_for_it(desk: Desk) -> None:
    supervisor, key = desk.supervisor, desk.endpoints.key
    end = time.monotonic() + 60.0

    def wait_for(told: Callable[[], bool]) -> None:
        while not told():
            assert time.monotonic() < end
            desk.turn(0.01)

    def state() -> ProcessState | None:
        status = supervisor.statuses.get(ProcessName.TRACKER)
        return status.state if status is not None else None

    wait_for(lambda: state() is ProcessState.RUNNING)
    os.kill(supervisor.statuses[ProcessName.TRACKER].pid, signal.SIGKILL)
    wait_for(lambda: bool(supervisor.returning))
    supervisor.mark(3)
    for request in (SelectRequest(key=key, x=1.0, y=2.0), ReleaseRequest(key=key, sperm_id=1)):
        reply = desk.ask(*encode_request(request))
        why = "the tracker is being started again; repeat it in a moment"
        assert (reply.outcome, reply.text) == (Outcome.REFUSED, why)
    wait_for(lambda: state() is ProcessState.RUNNING)
    wait_for(lambda: "marked [3]" in supervisor.statuses[ProcessName.TRACKER].notices)


def test_quit_says_who_asked(desk: Desk) -> None:
    assert desk.ask(*encode_request(QuitRequest(key=desk.endpoints.key, asked_by="foot pedal"))).done
    assert desk.server.operator.ended == "by request (foot pedal)"


def test_a_message_beyond_all_bounds_costs_its_sender_the_connection(desk: Desk, context: Context) -> None:
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        desk.endpoints.commands.connect(socket)
        socket.send_multipart([REQUEST, bytes(50_000_000)])
        desk.turn(0.5)
        assert not socket.poll(0, zmq.POLLIN)
    assert desk.ask(*encode_request(StatusRequest(key=desk.endpoints.key))).done, "others go on"


def test_a_flood_is_bounded_and_others_are_answered(desk: Desk, context: Context) -> None:
    """Ten thousand requests as fast as they go: the loop turns as before, few of them are carried out."""
    flood = encode_request(StatusRequest(key=desk.endpoints.key))
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        desk.endpoints.commands.connect(socket)
        sent = rounds = 0
        start = time.monotonic()
        while time.monotonic() - start < 2.0:
            for _ in range(200):
                try:
                    socket.send_multipart(flood, zmq.DONTWAIT)
                    sent += 1
                except zmq.Again:
                    break
            desk.turn(0.001)
            rounds += 1
        assert sent > 10 * MOST_PER_S
        assert rounds > 20
        replies = []
        while socket.poll(0, zmq.POLLIN):
            replies.append(decode_reply(socket.recv_multipart()))
        done = [reply for reply in replies if reply.done]
        assert len(done) <= 4 * MOST_PER_S
        assert "more than" in next(reply.text for reply in replies if not reply.done)
        assert len(replies) <= rounds * MOST_PER_ROUND * 2
    time.sleep(1.0)
    assert desk.ask(*encode_request(StatusRequest(key=desk.endpoints.key))).done


def test_an_asker_that_never_reads_holds_nobody_up(desk: Desk, context: Context) -> None:
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.rcvhwm = 1
        desk.endpoints.commands.connect(socket)
        for _ in range(200):
            socket.send_multipart([REQUEST, b"\x01"], zmq.DONTWAIT)
            desk.turn(0.005)
        assert desk.ask(*encode_request(StatusRequest(key=desk.endpoints.key))).done


def test_the_client_says_so_where_nobody_answers(context: Context) -> None:
    with private_endpoints() as endpoints, CommandClient(context, endpoints.commands, timeout_s=0.2) as client:
        reply = client.ask(StatusRequest(key=endpoints.key))
        assert reply.outcome is Outcome.UNCONFIRMED
        assert "no answer within 0.2 s" in reply.text


def test_a_client_that_does_not_wait_hears_the_answers_later(desk: Desk, context: Context) -> None:
    with CommandClient(context, desk.endpoints.commands) as client:
        assert client.replies() == []
        for _ in range(2):
            client.ask_for_later(StatusRequest(key=desk.endpoints.key))
        heard: list[Reply] = []
        for _ in range(400):
            desk.turn(0.005)
            heard += client.replies()
            if len(heard) == 2:
                break
        assert [reply.id for reply in heard] == [1, 2]
        assert all(reply.status is not None for reply in heard)


def test_patience_leaves_room_within_a_second() -> None:
    assert PATIENCE_S + 0.15 < 1.0
