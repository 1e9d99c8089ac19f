"""``python -m bench camera`` on the SDK's emulator, at a small size: the whole station, both faults."""

import argparse
import json

import pytest

from bench import camera as bench


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
def test_the_station_counts_every_lost_frame_and_grades_again_when_the_camera_is_back(capsys):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    small = ["--seconds", "2", "--fps", "15", "--width", "480", "--height", "360", "--select", "auto:2"]
    faults = ["--failed", "12", "--away", "0.4", "--settle", "2.5"]
    bench.run(parser.parse_args([*small, *faults]))  # its exit code also says how fast this machine was
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = {name: figure["value"] for name, figure in document["figures"].items()}
    assert 20 <= figures["15/s: frames captured"] <= 31
    assert figures["15/s: frames lost in capture"] == 0
    assert figures["15/s: between exposures, p50"] == pytest.approx(1000 / 15, rel=0.5)
    assert figures["incomplete: counted"] == 12
    assert figures["incomplete: marked as lost on the frames after"] > 12, "the removal's come on top"
    assert figures["incomplete and removal: windows for the engine across the hole"] == 0
    assert figures["removal: reconnects"] == 1
    assert figures["removal: from the camera's return to the next grade"] > 0
