"""What keeps a GPU busy (clips read ahead, losses looked at later, a compiled network) changes nothing, on the CPU."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from station.errors import InputError  # noqa: E402
from tests.support.tiny_training import NETWORK  # noqa: E402
from trainer.data.dataset import Clips, open_clips  # noqa: E402
from trainer.data.kept_clips import KeptClips  # noqa: E402
from trainer.data.loader import Augmentation, Batch, Epoch, epoch_order  # noqa: E402
from trainer.model.pixels import grey_levels  # noqa: E402
from trainer.training import loop, pace  # noqa: E402
from trainer.training.fabric import open_fabric  # noqa: E402
from trainer.training.pace import IN_STEP, Pace, pace_for, require_compiler  # noqa: E402
from trainer.training.readings import Fetch, Readings  # noqa: E402
from trainer.training.recipe import Recipe  # noqa: E402
from trainer.training.state import Training  # noqa: E402
from trainer.training.tally import TrainingError  # noqa: E402

HURRY = Pace(readers=3, in_flight=2, kept_bytes=10 * 4 * 20 * 20)  # ten clips
CPU = torch.device("cpu")


@pytest.fixture
def clips(tiny_clips: Path) -> Clips:
    return open_clips(tiny_clips)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Report:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, ...]] = []

    def batch(self, *told: float) -> None:
        self.batches.append(told)

    def epoch(self, *_: object) -> None: ...


def trained(clips: Clips, how: Pace, **changes: object) -> tuple[Training, Report]:
    config = {name: int(value) for name, value in (change.split("=") for change in NETWORK)}
    recipe = Recipe(data="", network=config, batch=6, epochs=3, lr=0.05, **changes)
    training, report = Training(recipe, CPU), Report()
    with open_fabric("cpu", recipe.precision) as fabric:
        loop.train(loop.Run(training, clips, clips.subset([]), report, fabric, pace=how), until=3)
    return training, report


def apart(one: Training, other: Training) -> float:
    a, b = one.network.state_dict(), other.network.state_dict()
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_clips_that_are_read_ahead_are_the_same_and_no_thread_stays(clips: Clips) -> None:
    epoch = Epoch(clips, 6, 7, 2, Augmentation(2, turns=True, brightness=0.1), share=(1, 2))
    for now, ahead in zip(epoch.batches(), epoch.batches(readers=3), strict=True):
        assert now.indices == ahead.indices
        np.testing.assert_array_equal(now.pixels, ahead.pixels)
        np.testing.assert_array_equal(now.light, ahead.light)
    with contextlib.closing(epoch.batches(readers=3)) as batches:
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


def test_a_clip_that_is_gone_is_said_where_its_batch_is_due(clips: Clips) -> None:
    third = epoch_order(len(clips), 6, 7, 0)[2][0]
    rows = [replace(row, file="gone.npz") if index == third else row for index, row in enumerate(clips.rows)]
    gone = replace(clips, rows=tuple(rows))
    batches = Epoch(gone, 6, 7, 0, Augmentation(2, turns=False, brightness=0.0)).batches(readers=2)
    assert [len(next(batches).indices) for _ in range(2)] == [6, 6]
    with pytest.raises(InputError, match=r"gone\.npz"):
        next(batches)


def test_clips_are_kept_up_to_a_bound_and_cannot_be_changed(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    pixels = Clips.pixels
    monkeypatch.setattr(Clips, "pixels", lambda self, index: (read.append(index), pixels(self, index))[1])
    kept = KeptClips(clips, 2 * 4 * 20 * 20 + 1)  # two, and a little
    for index in (3, 5, 7, 3, 5, 7):
        np.testing.assert_array_equal(kept.pixels(index), pixels(clips, index))
        with pytest.raises(ValueError, match="read-only"):
            kept.pixels(3)[:] = 0
    assert read.count(3) == read.count(5) == 1
    assert read.count(7) == 2


def test_light_is_varied_on_the_device_to_the_same_bit() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 5, 5), np.uint8)
    light = np.array([[1.0739, -20.123], [0.9311, 3.7]], np.float32)
    found = grey_levels(Batch([0, 1], pixels, light), CPU).numpy()
    for clip, (gain, lift), grey in zip(pixels, light, found, strict=True):
        np.testing.assert_array_equal(grey, clip.astype(np.float32) * gain + lift)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_it_learns_the_same_to_the_last_bit(clips: Clips, accumulate: int) -> None:
    one, told = trained(clips, IN_STEP, accumulate=accumulate)
    other, told_later = trained(clips, HURRY, accumulate=accumulate)
    assert apart(one, other) == 0
    assert one.log == other.log
    assert told.batches == told_later.batches
    assert len(told.batches) == 3 * 7


def test_a_loss_that_is_no_number_is_found_before_the_epoch_counts(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = epoch_order(len(clips), 6, 1, 0)[3]
    votes = clips.distributions
    votes[named[2], 1] = np.nan
    monkeypatch.setattr(Clips, "distributions", property(lambda _: votes))
    ids = ", ".join(clips.rows[index].id for index in named)
    for how in (IN_STEP, HURRY):
        with pytest.raises(TrainingError) as error:
            trained(clips, how)
        assert f"the loss became nan in epoch 1, batch 4 (clips {ids}); the checkpoint after" in str(error.value)


def test_readings_come_in_order_and_no_further_behind_than_allowed() -> None:
    given: list[float] = []
    seen: list[float] = []

    def fetch(value: torch.Tensor) -> Fetch:
        given.append(value.item())

        def arrived() -> float:
            assert len(given) - len(seen) <= 3  # two are still under way, this is the third
            return value.item()

        return arrived

    readings = Readings(2, fetch)
    for number in range(6):
        readings.add(torch.tensor(float(number)), seen.append)
        assert seen == given[:-2]
    readings.settle()
    assert seen == given == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_compiled_network_learns_the_same(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    # The backend that runs what was traced without a compiler: what is tested is that all of it can be traced.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    some = clips.subset(range(12))  # batches of one size: traced once
    plain, _ = trained(some, IN_STEP)
    compiled, _ = trained(some, HURRY, compile=True)
    assert apart(plain, compiled) < 1e-5
    assert set(compiled.network.state_dict()) == set(plain.network.state_dict())


def test_who_is_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace_for(CPU) == IN_STEP
    monkeypatch.setattr(pace, "usable_cores", lambda: 16)
    monkeypatch.setattr(pace, "memory_bytes", lambda: 64 << 30)
    assert pace_for(torch.device("cuda", 1)) == Pace(8, 2, 16 << 30)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert pace_for(torch.device("cuda")) == Pace(1, 2, 2 << 30)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"--compile true: needs a C\+\+ compiler"):
        require_compiler(CPU)
