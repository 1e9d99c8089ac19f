"""``python -m bench capture`` on the SDK's emulator, at a small size."""

import argparse
import json

import pytest

from bench import capture as bench


@pytest.mark.usefixtures("emulator")
def test_the_bench_counts_all_losses_and_sees_the_camera_return(capsys):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    options = ["--seconds", "0.5", "--fps", "50", "--width", "128", "--height", "96", "--failed", "7", "--away", "0.4"]
    assert bench.run(parser.parse_args(options)) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = {name: figure["value"] for name, figure in document["figures"].items()}
    assert figures["50/s: frames lost"] == 0
    assert 10 <= figures["50/s: frames read"] <= 26
    assert figures["incomplete: counted"] == figures["incomplete: marked as lost on the frames after"] == 7
    assert 0 < figures["removal: from return to frames"] < 5
    assert figures["removal: marked as lost"] > 10
    assert document["timings"]["50/s: interval"]["p50"] == pytest.approx(20, rel=0.5)
