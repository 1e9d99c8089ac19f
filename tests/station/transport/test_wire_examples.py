"""The examples of docs/wire.md run as they stand, on Unix sockets and on TCP."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

from station.build_info import ROOT
from station.commands.registry import registered
from station.transport.bus import Publisher
from station.transport.endpoints import private_endpoints
from station.transport.messages import GradeInfo, GradesHeader, Trace, Validity

Context = zmq.Context[zmq.Socket[bytes]]
READER = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "wire.md").read_text(encoding="utf-8"), re.DOTALL)[-1]


@pytest.mark.parametrize("transport", ["unix sockets", "tcp"])
def test_the_reader_reads_grades(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if transport == "tcp":
        monkeypatch.setattr("station.transport.endpoints.MAX_IPC_PATH", 5)
    grade = GradeInfo(
        sperm_id=3,
        frame_seq=9,
        x=1.0,
        y=2.0,
        grade=[1.0, 0.0, 0.0, 0.0, 0.0],
        heads=[[1.0, 0.0, 0.0, 0.0, 0.0]] * 3,
        validity=Validity.VALID,
        trace=Trace(t_exposure_ns=1, t_sent_ns=2),
    )
    with (
        private_endpoints() as endpoints,
        registered(endpoints),
        Publisher(context, endpoints.grades) as publisher,
        (tmp_path / "read.txt").open("w+") as output,
        subprocess.Popen([sys.executable, "-u", "-c", READER], env=os.environ.copy(), stdout=output) as reader,
    ):
        try:
            while "\n" not in (tmp_path / "read.txt").read_text():
                publisher.send(GradesHeader(seq=publisher.next_seq, grades=[grade]))
                time.sleep(0.005)
                assert reader.poll() is None
        finally:
            reader.kill()
    assert (tmp_path / "read.txt").read_text().startswith("3 [1.0, 0.0, 0.0, 0.0, 0.0] valid\n")
