"""What the page says of the processes and the recording."""

from station.config import Config
from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus, RecordingInfo
from station.view.overview import StationFacts, overview
from station.view.page_messages import Overview

RECORDER = ProcessName.RECORDER
RECORDING = RecordingInfo(folder="s", mode="all", codec="raw")


def status(name: ProcessName, state: ProcessState, recording: RecordingInfo | None = None) -> ProcessStatus:
    return ProcessStatus(seq=0, process=name, state=state, pid=1, t_ns=1, progress=1, recording=recording)


def shown(facts: StationFacts) -> Overview:
    return overview(facts.snapshot(None, None, {}), None, None, [], {}, commands=False)


def test_a_recorder_that_comes_back_is_no_recording() -> None:
    facts = StationFacts(Config.model_validate({"record": {"mode": "all"}}))
    facts.take_in(status(RECORDER, ProcessState.STARTING))
    assert (shown(facts).recording, shown(facts).recording_well) == ("recording not begun yet", True)
    facts.take_in(status(RECORDER, ProcessState.RUNNING, RECORDING))
    assert (shown(facts).recording, shown(facts).recording_well) == ("every frame recorded", True)
    for state in (ProcessState.STARTING, ProcessState.READY):
        facts.take_in(status(RECORDER, state, RECORDING))
        page = shown(facts)
        assert (page.recording, page.recording_well) == ("RECORDING INTERRUPTED", False)
        assert page.alarms == [
            "RECORDING INTERRUPTED: the recorder process died or hung; it is being started again, frames of now are "
            "not recorded"
        ]
    facts.take_in(status(RECORDER, ProcessState.RUNNING, RECORDING))
    assert (shown(facts).recording, shown(facts).recording_well, shown(facts).alarms) == (
        "every frame recorded", True, []
    )  # fmt: skip


def test_a_suspended_process_is_called_so_until_it_goes_on() -> None:
    facts = StationFacts(Config())
    running = status(ProcessName.TRACKER, ProcessState.RUNNING)
    facts.take_in(running.model_copy(update={"suspended": True}))
    page = shown(facts)
    assert [(one.condition, one.healthy) for one in page.processes if one.name == "tracker"] == [("suspended", False)]
    assert "tracker is suspended (by SIGSTOP or a debugger): it goes on when it is continued" in page.cautions
    facts.take_in(running)
    assert "suspended" not in shown(facts).model_dump_json()
