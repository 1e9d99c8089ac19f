"""The losses on worked values, over the heads that exist, and with a gradient where a probability underflows."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")

from trainer.model import losses  # noqa: E402
from trainer.model.losses import DISTANCES, Prediction, loss_of, mean_distance  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402

SHAPE: dict[str, Any] = {
    "frames": 2, "clip_px": 16, "image_px": 16, "patch_px": 8, "width": 16, "depth": 2, "heads": 2, "selected": 2,
    "branch_depth": 1, "branch_heads": 2,
}  # fmt: skip


def sure(probability: Any) -> Prediction:
    return Prediction(probability, probability.log())


def test_losses_are_the_measures_on_worked_values() -> None:
    predicted, target = torch.tensor([[1.0, 0, 0, 0, 0]]), torch.tensor([[0.5, 0.5, 0, 0, 0]])
    assert losses.mse(sure(predicted), target).item() == pytest.approx(0.1)
    assert losses.js(sure(predicted), target).item() == pytest.approx(0.75 * np.log(4 / 3), rel=1e-5)
    assert losses.squared_emd(sure(predicted), target).item() == pytest.approx(0.25)
    even = torch.full((1, 5), 0.2)
    assert losses.ce(sure(even), target).item() == pytest.approx(np.log(5), rel=1e-5)
    across, along = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert losses.cosine_diversity([across, across, -along]).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("score", [2.0, 30.0, 200.0], ids=["plain", "below 1e-8", "underflows to 0"])
def test_cross_entropy_has_its_gradient_where_a_probability_underflows(score: float) -> None:
    scores = torch.tensor([[score, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    target = torch.tensor([[0.1, 0.6, 0.3, 0.0, 0.0]])
    loss = losses.ce(Prediction(scores.softmax(-1), scores.log_softmax(-1)), target)
    loss.backward()
    torch.testing.assert_close(scores.grad, scores.detach().softmax(-1) - target)
    assert torch.isfinite(loss)


def test_a_network_learns_out_of_an_underflow() -> None:
    torch.manual_seed(0)
    network = Rostfine(preset("station", **SHAPE))
    with torch.no_grad():
        for name in ("g", "s", "t"):
            network.get_submodule(f"head_{name}").bias.copy_(torch.tensor([200.0, 0, 0, 0, 0]))
    clips, target = torch.zeros(1, 2, 16, 16), torch.tensor([[0.0, 1.0, 0, 0, 0]])
    loss_of(network(clips), target, DISTANCES["ce"], 0.0, network.config).backward()
    for name in ("g", "s", "t"):  # a third each of (1, -1, 0, 0, 0)
        found = network.get_submodule(f"head_{name}").bias.grad
        torch.testing.assert_close(found, torch.tensor([1.0, -1, 0, 0, 0]) / 3)


FEATURES = [("g",), ("s",), ("t",), ("g", "s"), ("g", "t"), ("s", "t"), ("g", "s", "t")]


@pytest.mark.parametrize("features", FEATURES, ids="-".join)
@pytest.mark.parametrize("loss", DISTANCES)
def test_the_mean_is_over_the_heads_that_exist(features: Any, loss: str) -> None:
    torch.manual_seed(0)
    network = Rostfine(preset("station", features=features, **SHAPE))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    output, target = network(torch.rand(3, 2, 16, 16) * 255), torch.rand(3, 5).softmax(-1)
    rows = [output.heads[:, ("g", "s", "t").index(name)] for name in features]
    expected = torch.stack([DISTANCES[loss](sure(row), target) for row in rows]).mean()
    torch.testing.assert_close(mean_distance(output, target, DISTANCES[loss], network.config), expected)
    pairs = [getattr(output, f"v_{name}") for name in features]
    extra = losses.cosine_diversity(pairs) if len(pairs) > 1 else 0.0
    torch.testing.assert_close(loss_of(output, target, DISTANCES[loss], 0.5, network.config), expected + 0.5 * extra)


@pytest.mark.parametrize("aggregation", ["concat", "sum"])
def test_one_head_on_all_features_is_one_head(aggregation: Any) -> None:
    torch.manual_seed(0)
    network = Rostfine(preset("station", aggregation=aggregation, **SHAPE))
    output, target = network(torch.rand(3, 2, 16, 16) * 255), torch.rand(3, 5).softmax(-1)
    for distance in DISTANCES.values():
        torch.testing.assert_close(
            mean_distance(output, target, distance, network.config), distance(sure(output.grade), target)
        )
