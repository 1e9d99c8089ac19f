"""Layers in integers: what is written, what is left out, and that a graph without VNNI computes the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a network to quantize needs the extra [train]")
onnx = pytest.importorskip("onnx", reason="quantizing needs the extra [train]")

from onnx import numpy_helper  # noqa: E402

from trainer.model import quantization  # noqa: E402
from trainer.model.golden import pattern_clips  # noqa: E402
from trainer.model.onnx_graph import build_graph  # noqa: E402
from trainer.model.quantization import INPUT_LEVELS, WEIGHT_LIMIT, Layers, grades, quantize, ranges  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402

CONFIG = preset(
    "station", branch="prenorm", frames=4, clip_px=24, image_px=24, patch_px=8, width=32, depth=2, heads=2, selected=3,
    branch_depth=1, branch_heads=2,
)  # fmt: skip
CLIPS = pattern_clips(16, (4, 24, 24))


def silent(*_: object) -> None: ...


@pytest.fixture(scope="module")
def model() -> "onnx.ModelProto":
    torch.manual_seed(2)
    network = Rostfine(CONFIG).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    return build_graph(weights, CONFIG, "float16")


def test_grades_stay_close_and_the_file_is_smaller(model: "onnx.ModelProto") -> None:
    made = quantize(model, CLIPS[:8], CLIPS[8:12], silent)
    difference = grades(made.model, CLIPS[12:]) - grades(model, CLIPS[12:])
    assert 0 < np.mean(difference**2) < 5e-5
    assert made.model.ByteSize() < model.ByteSize()
    kinds = {node.op_type for node in made.model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    read = {name for node in made.model.graph.node for name in node.input}
    assert read >= {tensor.name for tensor in made.model.graph.initializer}, "weights that nothing reads are left out"


def test_no_pair_of_products_exceeds_16_bits(model: "onnx.ModelProto") -> None:
    """Processors without VNNI add two products in 16 bits, and would cut off larger ones without a word."""
    made = quantize(model, CLIPS[:4], CLIPS[4:6], silent).model
    weights = [numpy_helper.to_array(t) for t in made.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    matrices = [weight for weight in weights if weight.ndim == 2]
    assert len(matrices) > 10
    assert max(np.abs(weight.astype(int)).max() for weight in matrices) == WEIGHT_LIMIT
    assert 2 * INPUT_LEVELS * WEIGHT_LIMIT < 2**15


def test_what_costs_the_most_is_left_out_until_the_rest_is_within_the_budget(
    model: "onnx.ModelProto", monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {layers: 1e-7 for layers in quantization.layers_of(model)}
    dear = [list(costs)[3], list(costs)[7]]
    costs |= {dear[0]: 3e-5, dear[1]: 2e-5}
    monkeypatch.setattr(quantization, "own_errors", lambda *_: costs)
    made = quantize(model, CLIPS[:4], CLIPS[4:6], silent)
    assert [name.split(" ")[0] for name in made.left_out] == [name for layers in dear for name in layers.names]
    plain = {node.name for node in made.model.graph.node if node.op_type == "Gemm" and "_real" not in node.input[0]}
    assert plain == {name for layers in dear for name in layers.names}


def test_layers_with_one_input_go_together(model: "onnx.ModelProto") -> None:
    groups = quantization.layers_of(model)
    assert max(len(layers.names) for layers in groups) == 3  # q, k and v
    assert isinstance(groups[0], Layers)
    assert sum(len(layers.names) for layers in groups) == sum(n.op_type == "Gemm" for n in model.graph.node)


def test_a_range_holds_zero(model: "onnx.ModelProto") -> None:
    found = ranges(model, CLIPS[:2], silent)
    assert all(low <= 0 <= high for low, high in found.values())
