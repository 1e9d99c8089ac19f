"""The bench's operation count against the exported graph, and its ceiling against numpy."""

import math
from typing import Any

import numpy as np
import pytest

from bench.support.flops import multiply_adds
from bench.support.sgemm import Sgemm
from engine.artifact import NetworkConfig

SMALL: dict[str, Any] = {
    "frames": 4, "clip_px": 30, "image_px": 24, "patch_px": 8, "width": 32, "depth": 3, "heads": 2, "selected": 3,
    "branch_depth": 2, "branch_heads": 4,
}  # fmt: skip
CASES = {
    "paper": NetworkConfig(**SMALL),
    "reference": NetworkConfig(**SMALL, branch="reference", score_blocks=1),
    "prenorm": NetworkConfig(**SMALL, branch="prenorm"),
    "no resizing": NetworkConfig(**(SMALL | {"clip_px": 24}), branch="prenorm"),
    "v_g alone": NetworkConfig(**SMALL, features=("g",)),
    "concatenated": NetworkConfig(**SMALL, features=("g", "t"), aggregation="concat"),
    "summed": NetworkConfig(**SMALL, aggregation="sum"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_count_is_that_of_the_graph(case: str) -> None:
    torch = pytest.importorskip("torch")
    onnx = pytest.importorskip("onnx")
    from trainer.model.onnx_graph import build_graph
    from trainer.model.rostfine import Rostfine

    network = Rostfine(CASES[case])
    weights = {name: torch.rand_like(value).double().numpy() for name, value in network.state_dict().items()}
    model = build_graph(weights, network.config, "float32")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in inferred.value_info
    }
    shapes |= {value.name: list(value.dims) for value in inferred.initializer}
    counted = 0
    for node in inferred.node:
        if node.op_type in ("Gemm", "MatMul"):
            counted += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    assert sum(multiply_adds(network.config).values()) == counted


def test_the_network_in_training_has_one_layer_a_block_more() -> None:
    pytest.importorskip("torch")
    from trainer.model.counting import count_network
    from trainer.model.presets import STATION

    for config in (STATION, NetworkConfig()):
        folded = config.depth * config.frames * config.patches * config.width**2
        counted = count_network(config).multiply_adds
        assert counted == pytest.approx(sum(multiply_adds(config).values()) + folded, rel=0.005)


def test_the_ceiling_multiplies() -> None:
    ceiling = Sgemm(5, 7, 3, threads=1)
    (found,) = ceiling._session.run(None, {"x": ceiling._x})
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((5, 7), np.float32), rng.standard_normal((7, 3), np.float32)
    np.testing.assert_allclose(found, x @ weights, atol=1e-5)
    assert ceiling.gflops() > 0
