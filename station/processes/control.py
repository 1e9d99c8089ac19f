"""The control link: heartbeats from the processes to the supervisor, commands the other way.

A ROUTER socket at the supervisor, a DEALER in each process that is known by its name, and proves it when it connects:
nobody else gets through, and a process speaks for itself alone. It carries no data, so a command never waits behind
frames. Sending never blocks: a heartbeat that finds a full queue is left out, the next one
says the same and more.
"""

import contextlib
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

import zmq

from station.clock import now_ns
from station.errors import MessageError
from station.processes.latency import LatencyRecorder
from station.processes.ledger import Ledger
from station.transport.control_messages import (
    ActionHeader,
    CameraAdjustment,
    Command,
    ModelInfo,
    Parameters,
    PlaybackInfo,
    ProcessName,
    ProcessState,
    ProcessStatus,
    RecordingInfo,
    SourceInfo,
    SpermTally,
)
from station.transport.counters import Counters
from station.transport.endpoints import MAX_HEADER_BYTES, Endpoint
from station.transport.gatekeeper import name_of
from station.transport.inbox import Inbox
from station.transport.messages import CommandName, Header
from station.transport.seal import Seal, sender_of
from station.transport.wire import decode, encode

HEARTBEAT_S = 0.1
PATIENCE_S = 3.0
KEEP_REPORTS = 1000
MOST_PER_ROUND: Final = 256
"""Messages that are taken in at once; processes send ten a second."""
QUEUE: Final = 100
"""Messages of one process that wait at the supervisor: the last ten seconds."""
LAST_WORD_MS: Final = 10_000
"""So long a process that ends waits for its last word ("failed", "ended") to arrive: the main one, of which it began as
a copy, may not have its socket yet."""
TALKERS: Final = (ProcessName.RECORDER, ProcessName.VIEW)
"""Who is told what the others say and what the operator does."""


class Watched(Protocol):
    """A socket of a process that counts what does not belong there."""

    @property
    def bad_messages(self) -> int:
        """Dropped on arrival."""
        ...

    @property
    def turned_away(self) -> int:
        """Connections that were refused."""
        ...


def orphaned() -> bool:
    """Return True in a process whose supervisor is gone, however it went: nothing may be left running."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    # Forked processes hold the pipes of those before them open, so the end of a pipe alone does not tell in time.
    return not parent.is_alive() or (sys.platform == "linux" and os.getppid() != parent.pid)


@dataclass(slots=True)
class Account:
    """What a process says about itself in every heartbeat; the process's loop writes it, the control link sends it."""

    counters: Counters = field(default_factory=Counters)
    latency: dict[str, LatencyRecorder] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    source: SourceInfo | None = None
    model: ModelInfo | None = None
    sperm: dict[int, SpermTally] = field(default_factory=dict)
    withheld: int | None = None
    obeyed: int | None = None
    digest: str = ""
    recording: RecordingInfo | None = None
    adjustment: CameraAdjustment | None = None
    parameters: Parameters = field(default_factory=dict)
    acted: int | None = None
    sockets: Sequence[Watched] = ()
    """All others of this process: what they drop is counted together."""
    playback: PlaybackInfo | None = None


class ProcessControl:
    """A process's end: tells how it is, hears what it should do.

    ``beat`` is called at least once per round of the process's loop; it sends a heartbeat when one is due and takes in
    commands. STOP is kept in ``stopped``, all others wait in ``commands``; what others report waits in ``reports``.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        process: ProcessName,
        ledger: Ledger | None = None,
    ) -> None:
        """``ledger``: what outlives this process; None: nothing does. It is closed with this."""
        self.ledger = ledger or Ledger()
        self.state = ProcessState.STARTING
        self.stopped = False
        self.told_to_stop = False
        """The supervisor ends the run."""
        self.told_by_signal = False
        """Somebody ended this process by SIGTERM: that says nothing about the run."""
        self.resumptions = 0
        """How often this process has been continued after a suspension (SIGCONT: ``fg`` after Ctrl-Z)."""
        self.commands: deque[Command] = deque()
        self.reports: deque[ProcessStatus | ActionHeader] = deque(maxlen=KEEP_REPORTS)
        """To the recorder: what the other processes say and the operator does."""
        self.patience_s = PATIENCE_S
        self.standstill = ""
        """What this process has been waiting for, so long that people must be told; empty where it is not."""
        self.account = Account()
        self.turned_away = 0  # it binds nothing
        self._bad_messages = 0
        self._process = process
        self._seq = 0
        self._seal = Seal(endpoint.seal)
        self._key = endpoint.seal
        self._last_command = -1
        self._progress = 0
        self._due = 0.0
        self._socket = context.socket(zmq.DEALER)
        self._socket.identity = process.value.encode()
        self._socket.linger = LAST_WORD_MS
        self._socket.maxmsgsize = MAX_HEADER_BYTES
        self._inbox = Inbox(self._socket)
        endpoint.connect(self._socket, process.value)

    def beat(self) -> None:
        """Count a round of the loop; send a heartbeat if one is due; take in commands."""
        self._progress += 1
        self.ledger.write_counters(self._counters.in_order)
        if time.monotonic() >= self._due:
            self.report(self.state)
            if orphaned():
                self.stopped = True
        for parts in self._inbox.round(MOST_PER_ROUND):
            self._take_in([part.buffer for part in parts])

    def await_command(self, timeout_s: float) -> None:
        """Wait until the supervisor has sent something, which the next ``beat`` takes in."""
        self._socket.poll(int(timeout_s * 1000), zmq.POLLIN)

    def _take_in(self, parts: Sequence[Any]) -> None:
        """Keep a message of the supervisor; anything else is counted."""
        try:
            sender_of(self._key, parts)
            header, _ = decode(parts)
        except MessageError:
            header = None
        if isinstance(header, Command) and header.seq > self._last_command:
            self._last_command = header.seq
            if header.name is CommandName.STOP:
                self.stopped = self.told_to_stop = True
            self.commands.append(header)
        elif isinstance(header, ProcessStatus | ActionHeader) and self._process in TALKERS:
            self.reports.append(header)
        else:
            self._bad_messages += 1

    @property
    def _counters(self) -> Counters:
        """The process's own counts, with what its sockets turned down."""
        sockets: tuple[Watched, ...] = (*self.account.sockets, self)
        dropped = {
            "bad_messages": sum(socket.bad_messages for socket in sockets),
            "turned_away": sum(socket.turned_away for socket in sockets),
        }
        counters = self.account.counters
        return counters.model_copy(update=dropped) if any(dropped.values()) else counters

    @property
    def bad_messages(self) -> int:
        """Dropped on arrival: not from this run's supervisor, of another kind, or sent before."""
        return self._bad_messages

    def report(self, state: ProcessState, *, error: str = "", details: str = "", user_error: bool = False) -> None:
        """Send a status now and keep ``state`` for the heartbeats to come."""
        self.state = state
        self._due = time.monotonic() + HEARTBEAT_S
        account = self.account
        status = ProcessStatus(
            seq=self._seq,
            process=self._process,
            state=state,
            pid=os.getpid(),
            t_ns=now_ns(),
            progress=self._progress,
            patience_s=self.patience_s,
            counters=self._counters.model_copy(),
            latency_ms={name: recorder.total() for name, recorder in account.latency.items()},
            recent_ms={name: recorder.recent() for name, recorder in account.latency.items()},
            error=error,
            user_error=user_error,
            details=details,
            notices=[*account.notices, *([self.standstill] if self.standstill else [])],
            source=account.source,
            model=account.model,
            sperm=list(account.sperm.values()),
            withheld=account.withheld,
            obeyed=account.obeyed,
            digest=account.digest,
            recording=account.recording,
            adjustment=account.adjustment,
            playback=account.playback,
            acted=account.acted,
            parameters=account.parameters,
        )
        try:
            self._socket.send_multipart(encode(status, seal=self._seal), zmq.DONTWAIT)
        except zmq.Again:
            return
        self._seq += 1

    def stop(self) -> None:
        """Ask this process's own loop to end."""
        self.stopped = True

    def close(self) -> None:
        """Close the socket and the ledger; may be called more than once."""
        self._socket.close(0 if orphaned() else None)  # nobody is there to hear a last word
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class ControlCentre:
    """The supervisor's end: the latest word of each process, and commands to it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint) -> None:
        self._bad_messages = 0
        self._seq = 0
        self._seal = Seal(endpoint.seal)
        self._key = endpoint.seal
        self._last: dict[ProcessName, tuple[int, int]] = {}
        """When the latest sender of each process was made, and the number of its newest message."""
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.rcvhwm = QUEUE
        self._socket.maxmsgsize = MAX_HEADER_BYTES
        self._socket.router_handover = True  # a process that is started again goes under the name it had
        self._inbox = Inbox(self._socket)
        self._door = endpoint.bind(context, self._socket)

    @property
    def bad_messages(self) -> int:
        """Dropped on arrival: no status, not from a process of this run, in another's name, or sent before."""
        return self._bad_messages

    @property
    def turned_away(self) -> int:
        """Connections that were refused."""
        return self._door.turned_away if self._door is not None else 0

    def poll(self, timeout_s: float) -> list[ProcessStatus]:
        """Return what has arrived, waiting at most ``timeout_s`` for the first; bounded in number and time."""
        if not self._socket.poll(int(timeout_s * 1000), zmq.POLLIN):
            return []
        statuses = (self._status(parts) for parts in self._inbox.round(MOST_PER_ROUND))
        return [status for status in statuses if status is not None]

    def _status(self, parts: Sequence[zmq.Frame]) -> ProcessStatus | None:
        """Return a process's word about itself; None, and counted, where it is anything else."""
        rest = [part.buffer for part in parts[1:]]
        try:
            sender_ns = sender_of(self._key, rest)
            header, _ = decode(rest)
        except MessageError:
            header, sender_ns = None, 0
        named = {parts[0].bytes.decode(errors="replace"), name_of(parts[-1])}
        if not isinstance(header, ProcessStatus) or named != {header.process.value}:
            self._bad_messages += 1
            return None
        if (sender_ns, header.seq) <= self._last.get(header.process, (-1, -1)):
            self._bad_messages += 1
            return None
        self._last[header.process] = (sender_ns, header.seq)
        return header

    def send(self, process: ProcessName, name: CommandName, **fields: Any) -> int:
        """Send one command and return its number; a process that is gone does not hear it."""
        command = Command(seq=self._seq, name=name, **fields)
        self._seq += 1
        self._send(process, command)
        return command.seq

    def tell(self, process: ProcessName, header: ProcessStatus | ActionHeader) -> bool:
        """Pass a process's word, or what the operator did, on to another process; False: its queue is full."""
        with contextlib.suppress(zmq.Again):
            self._send(process, header)
            return True
        return False

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        if self._door is not None:
            self._door.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _send(self, process: ProcessName, header: Header) -> None:
        parts = [process.value.encode(), *encode(header, seal=self._seal)]
        self._socket.send_multipart(parts, zmq.DONTWAIT)
