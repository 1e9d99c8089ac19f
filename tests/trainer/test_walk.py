"""The commands of docs/training.md in order, at the smallest size: each takes what the one before wrote."""

import csv
import json
from pathlib import Path

import av
import pytest

pytest.importorskip("torch", reason="training needs torch")

from capture.simulator.microscope import SimulatedMicroscope
from engine.__main__ import main as engine
from station.config import SimulatedSettings
from trainer.__main__ import main as trainer

pytestmark = pytest.mark.slow

FIELDS = ("patch_px=50", "image_px=150", "width=16", "depth=2", "heads=2", "selected=2", "branch_heads=2")
NETWORK = [word for field in FIELDS for word in ("--network", field)] + ["--branch-depth", "1"]
SHORT = ["--epochs", "1", "--optimizer", "adamw", "--threads", "1", *NETWORK]


def walk(command: str) -> None:
    assert trainer(command.split()) == 0, command


def test_from_simulated_clips_to_a_verified_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        "simulate --clips 24 --seed 1 --out DATA",
        "simulate --clips 10 --seed 2 --shares table1 --out HELD_OUT",
        "check DATA",
        " ".join(["train --data DATA --out RUN", *SHORT]),
        "evaluate --run RUN --data HELD_OUT --reference DATA --change-input all --out SCORES --bootstrap 50 --no-plots",
        "export --weights RUN/best.pt --metrics SCORES/figures.json --clips HELD_OUT --out MODEL",
    ):
        walk(command)
    assert engine(["verify", "MODEL"]) == 0
    walk("evaluate --model MODEL --data HELD_OUT --reference DATA --out AGAIN --no-plots")
    run, model = (json.loads(Path(name, "figures.json").read_text()) for name in ("SCORES", "AGAIN"))
    assert model["MSE x100"] == pytest.approx(run["MSE x100"], rel=0.02)  # float16 weights
    manifest = json.loads(Path("MODEL/manifest.json").read_text())
    assert manifest["metrics"] == run
    assert (manifest["um_per_px"], manifest["fps"]) == (0.25, 15.0)


def test_from_recorded_video_to_a_verified_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("VIDEOS").mkdir()
    tags = ["video,id,x,y,source"]
    for seed in (4, 6, 8):
        microscope = SimulatedMicroscope(SimulatedSettings(width=560, height=420, sperm=5, debris=8, seed=seed))
        with av.open(f"VIDEOS/d{seed}.mkv", "w") as container:
            stream = container.add_stream("ffv1", rate=15)
            stream.width, stream.height, stream.pix_fmt = 560, 420, "gray"
            for _ in range(40):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(microscope.read().pixels, format="gray")))
            container.mux(stream.encode(None))
        tags += [f"d{seed},{s.sperm_id},{s.x:.0f},{s.y:.0f},donor{seed}" for s in microscope.truth(0).sperm if s.visible
                 and 5 < s.x < 550 and 5 < s.y < 410]  # fmt: skip
    Path("tags.csv").write_text("\n".join(tags) + "\n")
    walk("prepare VIDEOS --tags tags.csv --um-per-px 0.25 --windows 2 --out DATA")
    with Path("DATA/clips.csv").open(newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    votes = [f"{name},rater{k},{'ABCDE'[(n + k * k) % 5]}" for n, name in enumerate(ids) for k in range(6)]
    Path("votes.csv").write_text("\n".join(["id,rater,grade", *votes]) + "\n")
    for command in (
        "votes DATA --votes votes.csv",
        "check DATA",
        " ".join(["crossval --data DATA --folds 3 --holdout 0 --out CV", *SHORT]),
        "evaluate --crossval CV --data DATA --out SCORES --bootstrap 50 --no-plots",
        " ".join(["train --data DATA --out RUN --holdout 0", *SHORT]),
        "export --real --weights RUN/best.pt --metrics SCORES/figures.json --clips DATA --out MODEL",
    ):
        walk(command)
    assert engine(["verify", "MODEL"]) == 0
    assert json.loads(Path("SCORES/metrics.json").read_text())["data"]["clips"] == len(ids)
