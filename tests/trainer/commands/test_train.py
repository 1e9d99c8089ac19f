"""Training: it learns, resumes bit for bit, stops at a loss that is NaN, refuses what does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from lightning_fabric import Fabric  # noqa: E402

from station.errors import InputError  # noqa: E402
from tests.support import tiny_training  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.data.dataset import Clips, open_clips  # noqa: E402
from trainer.data.ground_truth import read_truth, truth_table  # noqa: E402
from trainer.data.loader import Augmentation, epoch_order, middle_frames, split_by_source  # noqa: E402
from trainer.data.splits import read_split  # noqa: E402
from trainer.data.synthetic import simulate  # noqa: E402
from trainer.evaluation.metrics import score  # noqa: E402
from trainer.evaluation.predictors import predict, weights_predictor  # noqa: E402
from trainer.model.initialization import initialize, position_waves  # noqa: E402
from trainer.model.weights import TIME_EMBED, load_weights, save_weights  # noqa: E402
from trainer.training import loop  # noqa: E402
from trainer.training.fabric import open_fabric  # noqa: E402
from trainer.training.optimizer import rate_share  # noqa: E402
from trainer.training.options import file_sha256  # noqa: E402
from trainer.training.recipe import BEST, LAST, Recipe, read_recipe  # noqa: E402
from trainer.training.state import Training  # noqa: E402
from trainer.training.tally import TrainingError  # noqa: E402


@pytest.fixture
def data(tiny_clips: Path) -> Path:
    return tiny_clips


def command(data: Path, run: Path, *options: str) -> list[str]:
    """Return a short training run of the tiny network."""
    fixed = ["--optimizer", "adamw", "--schedule", "cosine", "--warmup", "0.1", "--accumulate", "2"]
    return tiny_training.command("train", data, run, *fixed, *options)


def tiny_recipe(**changes: object) -> Recipe:
    config = {name: int(value) for name, value in (change.split("=") for change in tiny_training.NETWORK)}
    return Recipe(data="", network=config, **changes)


class Silent:
    """A report that is discarded."""

    def batch(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None: ...


def run_of(training: Training, clips: Clips, fabric: "Fabric") -> loop.Run:
    """Return a run that validates nothing and keeps nothing."""
    return loop.Run(training, clips, clips.subset([]), Silent(), fabric)


def weights(run: Path) -> dict[str, "torch.Tensor"]:
    return tiny_training.checkpoint(run / LAST)["model"]


@pytest.fixture(autouse=True)
def threads() -> "object":
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_learns_what_can_be_seen(data: Path, tmp_path: Path) -> None:
    options = ("--epochs", "25", "--lr", "1e-2", "--brightness", "0", "--loss", "ce", "--accumulate", "1")
    assert main(command(data, tmp_path / "run", *options)) == 0
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert len(log) == 25
    # The mean distribution scores 5 * (mean of (.75 - .2)^2 and four (.05 - .2)^2) / 5, times 100.
    assert min(entry["mse_x100"] for entry in log) < 0.3 * 100 * (0.55**2 + 4 * 0.15**2) / 5


def test_the_best_checkpoint_is_that_of_the_least_validation_error(data: Path, tmp_path: Path) -> None:
    main(command(data, tmp_path / "run", "--epochs", "3", "--lr", "0.3"))
    best = tiny_training.checkpoint(tmp_path / "run" / BEST)
    log = tiny_training.checkpoint(tmp_path / "run" / LAST)["log"]
    assert best["log"][-1]["mse_x100"] == min(entry["mse_x100"] for entry in log)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path / "run", "--epochs", "1", "--lr", "1e30")) == 2
    error = capsys.readouterr().err
    assert "the loss became nan in epoch 1, batch" in error
    assert "(clips c" in error
    assert error.count("\n") == 1


def test_the_last_checkpoint_is_whole_after_a_loss_that_is_no_number(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(command(data, run, "--epochs", "2", "--stop-after", "1")) == 0
    state = tiny_training.checkpoint(run / LAST)
    state["model"]["head_g.bias"][2] = float("inf")
    torch.save(state, run / LAST)
    before = (run / LAST).read_bytes()
    assert main(tiny_training.resume("train", data, run)) == 2
    first = epoch_order(36, 6, 1, 1)[0]
    train = read_split(run / "split.json", open_clips(data)).train
    named = ", ".join(f"c{train[place]}" for place in first)
    assert f"in epoch 2, batch 1 (clips {named}); the checkpoint after epoch 1 is whole" in capsys.readouterr().err
    assert (run / LAST).read_bytes() == before


def test_a_gradient_that_is_no_number_stops_before_it_reaches_the_weights(data: Path) -> None:
    clips = open_clips(data)
    training = Training(tiny_recipe(), torch.device("cpu"))
    training.network.encoder.cls_token.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    with (
        open_fabric("cpu", "float32") as fabric,
        pytest.raises(TrainingError, match=r"the gradient became (nan|inf)"),
    ):
        loop.train(run_of(training, clips.subset(range(12)), fabric), until=1)
    assert all(torch.equal(before[name], value) for name, value in training.network.state_dict().items())


@pytest.mark.parametrize("count", [24, 26], ids=["whole batches", "a short last batch"])
def test_accumulated_batches_are_one_large_batch(data: Path, count: int) -> None:
    clips, weights = open_clips(data), []
    for batch, accumulate in ((12, 1), (4, 3)):
        training = Training(tiny_recipe(batch=batch, accumulate=accumulate, lr=0.1), torch.device("cpu"))
        with open_fabric("cpu", "float32") as fabric:
            loop.train(run_of(training, clips.subset(range(count)), fabric), until=2)
        weights.append(training.network.state_dict())
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], atol=1e-6, rtol=1e-5)


def test_weights_of_a_run_can_be_grown_to_more_frames(data: Path, tmp_path: Path) -> None:
    main(command(data, tmp_path / "few", "--epochs", "1"))
    grown = ["--network", "frames=4", "--init", str(tmp_path / "few" / LAST), "--epochs", "1", "--lr", "1e-9"]
    assert main(command(data, tmp_path / "more", *grown)) == 0
    few, more = weights(tmp_path / "few")[TIME_EMBED], weights(tmp_path / "more")[TIME_EMBED]
    torch.testing.assert_close(more, few.repeat_interleave(2, dim=1), atol=1e-6, rtol=1e-4)


BAD = {
    "unknown network field": (("--network", "widht=3"), "did you mean 'width'"),
    "network field of half a number": (("--network", "depth=2.5"), "depth"),
    "no assignment": (("--network", "width"), "FIELD=VALUE"),
    "not a number": (("--lr", "fast"), "'lr'"),
    "out of range": (("--warmup", "2"), "'warmup'"),
    "frames that do not divide": (("--network", "frames=3"), "frames"),
    "weights of no run": (("--init", "absent.pt"), "absent.pt"),
    "resume with a recipe": (("--resume", "--lr", "1"), "--resume"),
    "no clips": (("--data", "absent"), "absent"),
    "threads below none": (("--threads", "-1"), "--threads -1"),
    "stop before the first epoch": (("--stop-after", "0"), "--stop-after 0"),
    "no such device": (("--device", "cuda:77"), "--device cuda:77"),
    "no kind of device": (("--device", "tpuu"), "--device tpuu"),
    "patience without validation": (("--patience", "3", "--holdout", "0"), "--patience"),
    "K twice": (("--selected", "3", "--network", "selected=3"), "give one of them"),
    "K of no number": (("--selected", "many"), "selected"),
    "K of more patches than there are": (("--network", "selected=5"), "selected"),
    "unknown branch": (("--network", "branch=side"), "branch"),
    "unknown loss": (("--loss", "mae"), "'loss'"),
    "weights that are none": (("--init", "pyproject.toml"), "pyproject.toml"),
    "criteria of clips that are not simulated": (("--criteria", "1"), "only simulated clips"),
}


@pytest.mark.parametrize(("options", "named"), BAD.values(), ids=BAD)
def test_bad_options_end_with_one_line_and_code_2(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], named: str
) -> None:
    assert main(command(data, tmp_path / "run", *options)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "run").exists()


def test_validation_on_clips_trained_on_is_refused_or_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path / "same", "--val", str(data))) == 2
    assert "--val is the folder to train on" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    tiny_training.make_clips(tmp_path / "other", 8)
    assert main(command(data, tmp_path / "run", "--val", str(tmp_path / "other"), "--epochs", "1")) == 0
    assert "2 sources are in --data and in --val" in capsys.readouterr().out


def test_a_run_is_not_overwritten_and_not_resumed_on_other_clips(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(data, tmp_path / "run", "--epochs", "2", "--stop-after", "1"))
    assert main(command(data, tmp_path / "run")) == 2
    assert "--resume" in capsys.readouterr().err
    other = ["train", "--data", str(data), "--val", str(data), "--out", str(tmp_path / "run"), "--resume"]
    assert main(other) == 2
    assert "other clips" in capsys.readouterr().err


def test_bfloat16_is_for_the_products_and_not_for_what_goes_in() -> None:
    class Look(torch.nn.Linear):
        def forward(self, clips: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
            return clips, super().forward(clips)

    pixels = torch.tensor([[200.3, 128.7]])
    with open_fabric("cpu", "bfloat16") as fabric:
        look = Look(2, 1)
        seen, product = fabric.setup(look)(pixels)
    assert torch.equal(seen, pixels)
    exact = torch.nn.functional.linear(pixels, look.weight, look.bias)
    assert product.dtype == torch.float32
    assert not torch.equal(product, exact)
    torch.testing.assert_close(product, exact, rtol=0.02, atol=1.0)


def test_a_folder_that_holds_no_run_yet_is_taken(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert main(command(data, tmp_path / "run", "--epochs", "1")) == 0


@pytest.mark.parametrize("change", ["altered", "swapped", "missing"])
def test_a_clip_that_is_not_the_one_promised_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    tiny_training.make_clips(tmp_path)
    file, other = (tmp_path / "clips" / name for name in ("7.npz", "12.npz"))
    content = file.read_bytes()
    if change == "altered":
        file.write_bytes(content[:-700] + bytes([content[-700] ^ 1]) + content[-699:])
    elif change == "swapped":
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    else:
        file.unlink()
    assert main(command(tmp_path, tmp_path / "run")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "7.npz" in error or "12.npz" in error
    assert not (tmp_path / "run").exists()


def test_hyper_parameters_of_the_network_have_options(data: Path, tmp_path: Path) -> None:
    options = ["--selected", "3", "--branch-depth", "2", "--branch-heads", "4", "--branch", "paper"]
    kept = {"frames=2", "clip_px=20", "image_px=20", "patch_px=10", "width=16", "depth=2", "heads=2"}
    network = [word for change in kept for word in ("--network", change)]
    assert main(["train", "--data", str(data), "--out", str(tmp_path), "--epochs", "1", *network, *options]) == 0
    config = load_weights(tmp_path / LAST).network.config
    assert (config.selected, config.branch_depth, config.branch_heads, config.branch) == (3, 2, 4, "paper")


def test_the_encoder_alone_can_come_from_imported_weights(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = Training(tiny_recipe(seed=9), torch.device("cpu")).network
    save_weights(theirs, tmp_path / "theirs.safetensors")
    options = ["--init", str(tmp_path / "theirs.safetensors"), "--epochs", "1", "--lr", "1e-9"]
    deeper = [*options, "--network", "branch_depth=2"]
    assert main(command(data, tmp_path / "all", *deeper)) == 2
    assert "--init-part" in capsys.readouterr().err
    assert main(command(data, tmp_path / "encoder", *deeper, "--init-part", "encoder")) == 0
    assert main(command(data, tmp_path / "all", *options)) == 0
    given, encoder, everything = theirs.state_dict(), weights(tmp_path / "encoder"), weights(tmp_path / "all")
    for name, value in given.items():
        torch.testing.assert_close(everything[name], value, atol=1e-6, rtol=1e-4)
        if name.startswith("model.model."):
            torch.testing.assert_close(encoder[name], value, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(encoder["head_g.weight"], given["head_g.weight"], atol=1e-6)
    shallow = [*options, "--network", "depth=3", "--init-part", "encoder"]
    assert main(command(data, tmp_path / "shallow", *shallow)) == 2
    recipe = read_recipe(tmp_path / "encoder")
    assert (recipe.init, recipe.init_part) == (file_sha256(tmp_path / "theirs.safetensors"), "encoder")


@pytest.mark.parametrize("name", ["train", "crossval"])
def test_help_names_every_field_of_a_recipe(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    text = capsys.readouterr().out
    follow = {"network", "data", "validation", "init", "folds", "fold"}  # from other options
    for field in Recipe.model_fields.keys() - follow:
        assert f"--{field.replace('_', '-')} VALUE" in text


def test_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(data="", schedule="cosine", warmup=0.1)
    shares = [rate_share(recipe, step, 1000) for step in (0, 50, 99, 100, 550, 1000)]
    assert shares == pytest.approx([1 / 101, 51 / 101, 100 / 101, 1.0, 0.5, 0.0])
    assert rate_share(Recipe(data=""), 999, 1000) == 1.0


def test_augmentation_keeps_the_pixels_and_takes_one_of_every_few_frames() -> None:
    clip = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)
    seen = set()
    for seed in range(40):
        varied = Augmentation(2, turns=True, brightness=0.0).apply(clip, np.random.default_rng(seed)).pixels
        first, second = (int(frame.min()) // 36 for frame in varied)
        assert second == first + 2
        np.testing.assert_array_equal(np.sort(varied[0].ravel()), clip[first].ravel())
        seen.add((first, *varied[0, 0, :2].astype(int).tolist()))
    assert {first for first, *_ in seen} == {0, 1}
    assert len(seen) > 8  # the eight turns and mirrorings
    assert middle_frames(clip, 2)[:, 0, 0].tolist() == [36, 108]


def test_a_split_keeps_sources_whole() -> None:
    sources = [f"v{index % 7}" for index in range(70)]
    kept, held = split_by_source(sources, 0.3, seed=1)
    assert sorted(kept + held) == list(range(70))
    assert len({sources[index] for index in held}) == 2
    assert not {sources[index] for index in held} & {sources[index] for index in kept}
    assert split_by_source(sources, 0.3, seed=1) == (kept, held)
    assert split_by_source(sources, 0.0, seed=1) == (list(range(70)), [])


def test_the_start_spreads_the_tokens_of_nearly_uniform_clips(data: Path) -> None:
    clips = open_clips(data)
    network = Training(tiny_recipe(), torch.device("cpu")).network
    initialize(network, clips, seed=1)
    pixels = torch.from_numpy(np.stack([clips.pixels(index) for index in range(len(clips))]))
    with torch.inference_mode():
        tokens = network.encoder.embed(pixels).flatten(0, 2)
    # The first component is the brightness, which is all that these clips differ in.
    assert tokens.mean(0).abs().max() < 0.2
    assert 0.2 < tokens.std(0)[0] < 0.8
    assert 0.05 < tokens.std(0)[1] < 0.8


def test_growing_and_fitting_the_heads_gives_a_better_network_of_more_frames(data: Path, tmp_path: Path) -> None:
    assert main(command(data, tmp_path / "few", "--epochs", "2")) == 0
    options = ["--data", str(data), "--out", str(tmp_path / "full"), "--frames", "4", "--fit-frames", "2"]
    assert main(["fit-heads", "--run", str(tmp_path / "few"), *options]) == 0
    clips, errors = open_clips(data), {}
    for name in ("few", "full"):
        predicted = predict(weights_predictor(tmp_path / name / LAST, name), clips)
        errors[name] = score(predicted, clips.distributions).mse_x100
    assert load_weights(tmp_path / "full" / LAST).network.config.frames == 4
    assert errors["full"] < errors["few"]
    assert read_recipe(tmp_path / "full").data == clips.sha256


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--clips", "0"), "--clips must"), (("--decay", "-1"), "--decay at least"), (("--frames", "3"), "--frames and")],
)
def test_heads_that_cannot_be_fitted_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str], named: str
) -> None:
    out = tmp_path / "full"
    assert (
        main(["fit-heads", "--run", str(tmp_path), "--data", str(data), "--out", str(out), "--frames", "4", *options])
        == 2
    )
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_every_place_starts_with_waves_of_its_own() -> None:
    waves = position_waves(6, 32)
    assert waves.shape == (36, 32)
    apart = torch.cdist(waves, waves) + 10 * torch.eye(36)
    assert apart.min() > 0.5


def test_the_truth_of_simulated_clips_is_read_back_and_others_have_none(data: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "data", 3, 1, "mixed")
    clips = open_clips(tmp_path / "data")
    truth = read_truth(clips)
    assert [len({getattr(sperm, field) for sperm in truth}) for field in ("tail_length_um", "contrast")] == [3, 3]
    assert (
        truth_table(zip([row.id for row in clips.rows], truth, strict=True))
        == (tmp_path / "data" / "truth.csv").read_bytes()
    )
    with pytest.raises(InputError, match="only simulated clips have it"):
        read_truth(open_clips(data))
