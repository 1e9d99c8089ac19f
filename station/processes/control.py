"""The control link: heartbeats from the processes to the supervisor, commands the other way.

A ROUTER socket at the supervisor, a DEALER in each process that is known by its name. It carries no data, so a
command never waits behind frames. Sending never blocks: a heartbeat that finds a full queue is left out, the next one
says the same and more.
"""

import contextlib
import multiprocessing
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

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
    ProcessName,
    ProcessState,
    ProcessStatus,
    RecordingInfo,
    SourceInfo,
    SpermTally,
)
from station.transport.counters import Counters
from station.transport.messages import CommandName
from station.transport.wire import decode, encode

HEARTBEAT_S = 0.1
PATIENCE_S = 3.0
KEEP_REPORTS = 1000


def orphaned() -> bool:
    """Return True in a process whose supervisor is gone, however it went: nothing may be left running."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


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
    digest: str = ""
    recording: RecordingInfo | None = None
    adjustment: CameraAdjustment | None = None
    parameters: Parameters = field(default_factory=dict)


class ProcessControl:
    """A process's end: tells how it is, hears what it should do.

    ``beat`` is called at least once per round of the process's loop; it sends a heartbeat when one is due and takes in
    commands. STOP is kept in ``stopped``, all others wait in ``commands``; what others report waits in ``reports``.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
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
        self.account = Account()
        self._process = process
        self._seq = 0
        self._progress = 0
        self._due = 0.0
        self._socket = context.socket(zmq.DEALER)
        self._socket.identity = process.value.encode()
        self._socket.linger = 500  # the last word ("failed", "ended") should arrive
        self._socket.connect(endpoint)

    def beat(self) -> None:
        """Count a round of the loop; send a heartbeat if one is due; take in commands."""
        self._progress += 1
        self.ledger.write_counters(self.account.counters.in_order)
        if time.monotonic() >= self._due:
            self.report(self.state)
            if orphaned():
                self.stopped = True
        while self._socket.poll(0, zmq.POLLIN):
            try:
                header, _ = decode(self._socket.recv_multipart())
            except MessageError:
                continue
            if isinstance(header, Command):
                if header.name is CommandName.STOP:
                    self.stopped = self.told_to_stop = True
                self.commands.append(header)
            elif isinstance(header, ProcessStatus | ActionHeader):
                self.reports.append(header)

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
            counters=account.counters.model_copy(),
            latency_ms={name: recorder.total() for name, recorder in account.latency.items()},
            recent_ms={name: recorder.recent() for name, recorder in account.latency.items()},
            error=error,
            user_error=user_error,
            details=details,
            notices=account.notices,
            source=account.source,
            model=account.model,
            sperm=list(account.sperm.values()),
            withheld=account.withheld,
            digest=account.digest,
            recording=account.recording,
            adjustment=account.adjustment,
            parameters=account.parameters,
        )
        try:
            self._socket.send_multipart(encode(status), zmq.DONTWAIT)
        except zmq.Again:
            return
        self._seq += 1

    def stop(self) -> None:
        """Ask this process's own loop to end."""
        self.stopped = True

    def close(self) -> None:
        """Close the socket and the ledger; may be called more than once."""
        self._socket.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class ControlCentre:
    """The supervisor's end: the latest word of each process, and commands to it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._seq = 0
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(endpoint)

    def poll(self, timeout_s: float) -> list[ProcessStatus]:
        """Return what has arrived, waiting at most ``timeout_s`` for the first."""
        statuses: list[ProcessStatus] = []
        wait_ms = int(timeout_s * 1000)
        while self._socket.poll(wait_ms, zmq.POLLIN):
            wait_ms = 0
            _, *parts = self._socket.recv_multipart()
            try:
                header, _ = decode(parts)
            except MessageError:
                continue
            if isinstance(header, ProcessStatus):
                statuses.append(header)
        return statuses

    def send(self, process: ProcessName, name: CommandName, **fields: Any) -> int:
        """Send one command and return its number; a process that is gone does not hear it."""
        command = Command(seq=self._seq, name=name, **fields)
        self._seq += 1
        self._socket.send_multipart([process.value.encode(), *encode(command)], zmq.DONTWAIT)
        return command.seq

    def tell(self, process: ProcessName, header: ProcessStatus | ActionHeader) -> None:
        """Pass a process's word, or what the operator did, on to another process; left out where its queue is full."""
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([process.value.encode(), *encode(header)], zmq.DONTWAIT)

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
