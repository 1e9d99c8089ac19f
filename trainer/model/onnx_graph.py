"""The network as one ONNX graph, written node by node from the weights.

Written by hand, not traced: the graph is made for inference (preprocessing inside, a patch embedding folded to one grey
channel, ``temporal_fc`` merged into the temporal projection, the attention scale in the query weights, last-block work
only for tokens that are read), it is the same bytes every time, and a test holds it to ``Rostfine``.

Weights are stored as float32 or float16 and pass through ``Cast`` nodes named ``compute/...``, as does the picture
after its normalisation. These casts alone decide the type that the network computes in: float32 as exported; a compiler
for a GPU sets them to float16. Softmax of the grades and all outputs are float32 in any case.

Axes: N clips (dynamic), T frames, P patches, D width, H heads, E = D/H, K selected patches.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.artifact import HEADS, NUM_GRADES, OPSET, NetworkConfig, Stored, TensorSpec, tensor_specs
from station.notice import NOTICE
from trainer.model.onnx_nodes import Array, NodeList
from trainer.model.rostfine import BRANCH_EPS, ENCODER_EPS, PIXEL_MEAN, PIXEL_STD

IR_VERSION = 10


def build_graph(weights: dict[str, Array], network: NetworkConfig, precision: Stored) -> onnx.ModelProto:
    """Return the checked model.

    Args:
        weights: State dict of ``Rostfine`` as float64 arrays.
        network: Its configuration.
        precision: Type the weights are stored in.
    """
    builder = NodeList(precision)
    _Network(builder, weights, network).build()
    inputs, outputs = tensor_specs(network)
    graph = helper.make_graph(
        builder.nodes, "rostfine", [_value(spec) for spec in inputs], [_value(spec) for spec in outputs],
        builder.initializers,
    )  # fmt: skip
    model = helper.make_model(
        graph, producer_name="rostfine-station", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, {"licence": NOTICE})
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    element = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}[spec.dtype]
    return helper.make_tensor_value_info(spec.name, element, ["N" if size < 0 else size for size in spec.shape])


class _Network:
    """Writes the nodes of one network. Tokens are rows (N*T*P, D), the CLS token rows (N, D)."""

    def __init__(self, graph: NodeList, weights: dict[str, Array], network: NetworkConfig) -> None:
        self.g = graph
        self.w = weights
        self.c = network
        self.d = network.width

    def build(self) -> None:
        """Write everything from ``clip`` to the outputs."""
        g, c = self.g, self.c
        tokens, cls = self.embed()
        scores: list[str] = []
        for index in range(c.depth - 1):
            tokens, cls, more = self.block(index, tokens, cls, scored=index >= c.depth - c.score_blocks)
            scores += more
        cls, selected, attention = self.last_block(tokens, cls, scores)
        features = {"g": self.norm("model.model.norm", cls, ENCODER_EPS)}
        if selected is not None:
            selected = self.norm("model.model.norm", selected, ENCODER_EPS)
            if "s" in c.features:
                frames = self.with_cls(features["g"], selected, c.selected, per_frame=True)
                v_s = self.branch("s", frames, 1 + c.selected)
                features["s"] = g.op("ReduceMean", g.reshape(v_s, -1, c.frames, self.d), g.ints(1), keepdims=0)
            if "t" in c.features:
                clip = self.with_cls(features["g"], selected, c.frames * c.selected, per_frame=False)
                features["t"] = self.branch("t", clip, 1 + c.frames * c.selected)
        self.grade(features)
        g.op("Cast", attention, out="attention", to=TensorProto.FLOAT)

    # Small parts --------------------------------------------------------------------------------------------------

    def linear(self, name: str, x: str, rows: slice = slice(None), scale: float = 1.0) -> str:
        """Apply (part of) the linear layer ``name`` to rows x."""
        bias = self.w.get(f"{name}.bias")
        return self.affine(self.w[f"{name}.weight"][rows] * scale, None if bias is None else bias[rows] * scale, x)

    def affine(self, weight: Array, bias: Array | None, x: str) -> str:
        """Apply weight (out, in) and bias (out,) to rows x (M, in)."""
        parts = (weight.T,) if bias is None else (weight.T, bias)
        return self.g.op("Gemm", x, *(self.g.weight(part) for part in parts))

    def norm(self, name: str, x: str, epsilon: float) -> str:
        """Apply the layer norm ``name`` to rows x."""
        scale, bias = self.g.weight(self.w[f"{name}.weight"]), self.g.weight(self.w[f"{name}.bias"])
        return self.g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def mlp(self, name: str, x: str) -> str:
        """Apply the MLP ``name`` to rows x."""
        return self.linear(f"{name}.fc2", self.g.op("Gelu", self.linear(f"{name}.fc1", x)))

    def qkv(self, name: str, part: int, x: str, heads: int) -> str:
        """Return q (0, with the attention's scale in it), k (1) or v (2) of rows x."""
        scale = (self.d // heads) ** -0.5 if part == 0 else 1.0
        return self.linear(f"{name}.qkv", x, slice(part * self.d, (part + 1) * self.d), scale)

    def split(self, x: str, shape: Sequence[int], heads: int, perm: Sequence[int]) -> str:
        """Split rows into heads: (shape..., H, E), transposed by ``perm``."""
        return self.g.transpose(self.g.reshape(x, *shape, heads, self.d // heads), *perm)

    def softmax_rows(self, q: str, k: str, rank: int) -> str:
        """Return the softmax of q k^T over the last axis."""
        last = [*range(rank - 2), rank - 1, rank - 2]
        return self.g.op("Softmax", self.g.op("MatMul", q, self.g.transpose(k, *last)), axis=-1)

    def with_cls(self, cls: str, tokens: str, count: int, per_frame: bool) -> str:
        """Put the CLS row of each clip before its tokens, or before the tokens of each frame; rows."""
        g = self.g
        if not per_frame:
            joined = g.op("Concat", g.reshape(cls, -1, 1, self.d), g.reshape(tokens, -1, count, self.d), axis=1)
            return g.reshape(joined, -1, self.d)
        tokens = g.reshape(tokens, -1, self.c.frames, count, self.d)
        # Expand repeats the size-1 axes and leaves N as it is.
        repeated = g.op("Expand", g.reshape(cls, -1, 1, 1, self.d), g.ints(1, self.c.frames, 1, self.d))
        return g.reshape(g.op("Concat", repeated, tokens, axis=2), -1, self.d)

    # The encoder --------------------------------------------------------------------------------------------------

    def embed(self) -> tuple[str, str]:
        """Turn ``clip`` into patch tokens and the CLS token."""
        g, c, encoder = self.g, self.c, "model.model."
        pixels = g.op("Cast", "clip", to=TensorProto.FLOAT)
        mean, std = np.array(255 * PIXEL_MEAN), np.array(1 / (255 * PIXEL_STD))
        pixels = g.op("Mul", g.op("Sub", pixels, g.exact("pixel_mean", mean)), g.exact("pixel_scale", std))
        if c.clip_px != c.image_px:
            pixels = self.resize(pixels)
        pixels = g.compute(pixels)
        pixels = g.transpose(g.reshape(pixels, -1, c.grid, c.patch_px, c.grid, c.patch_px), 0, 1, 3, 2, 4)
        pixels = g.reshape(pixels, -1, c.patch_px**2)
        kernel = self.w[f"{encoder}patch_embed.proj.weight"].sum(axis=1).reshape(self.d, -1)
        position, time = self.w[f"{encoder}pos_embed"][0], self.w[f"{encoder}time_embed"][0]
        # One table for the kernel's bias, the place and the time of each token.
        table = position[None, 1:] + time[:, None] + self.w[f"{encoder}patch_embed.proj.bias"]
        tokens = g.reshape(self.affine(kernel, None, pixels), -1, c.frames * c.patches, self.d)
        tokens = g.op("Add", tokens, g.weight(table.reshape(1, -1, self.d)))
        first = g.weight(self.w[f"{encoder}cls_token"][0] + position[:1])
        # The only place that needs the number of clips itself.
        count = g.op("Concat", g.op("Shape", "clip", start=0, end=1), g.ints(self.d), axis=0)
        return g.reshape(tokens, -1, self.d), g.op("Expand", first, count)

    def resize(self, pixels: str) -> str:
        """Resize (N, T, H, W) bilinearly, as two products with the same small matrix: every runtime agrees on those."""
        matrix = _bilinear(self.c.clip_px, self.c.image_px)
        left = self.g.exact("resize_rows", matrix)
        right = self.g.exact("resize_columns", matrix.T)
        return self.g.op("MatMul", left, self.g.op("MatMul", pixels, right))

    def over_time(self, name: str, tokens: str) -> str:
        """Add the temporal attention's update to the tokens."""
        g, c = self.g, self.c
        x = self.norm(f"{name}.temporal_norm1", tokens, ENCODER_EPS)
        attention = f"{name}.temporal_attn"
        # Rows in (N, T, P) order -> (N, P, H, T, E)
        q, k, v = (
            self.split(self.qkv(attention, part, x, c.heads), (-1, c.frames, c.patches), c.heads, (0, 2, 3, 1, 4))
            for part in range(3)
        )
        mixed = g.op("MatMul", self.softmax_rows(q, k, 5), v)
        mixed = g.reshape(g.transpose(mixed, 0, 3, 1, 2, 4), -1, self.d)
        # temporal_fc(proj(x)) is one linear layer.
        outer, inner = self.w[f"{name}.temporal_fc.weight"], self.w[f"{attention}.proj.weight"]
        bias = outer @ self.w[f"{attention}.proj.bias"] + self.w[f"{name}.temporal_fc.bias"]
        return g.op("Add", tokens, self.affine(outer @ inner, bias, mixed))

    def block(self, index: int, tokens: str, cls: str, scored: bool) -> tuple[str, str, list[str]]:
        """Write a block that is not the last. Returns tokens, CLS and, where ``scored``, softmax rows of CLS."""
        g, c, name = self.g, self.c, f"model.model.blocks.{index}"
        tokens = self.over_time(name, tokens)
        x = self.frames_with_cls(name, tokens, cls)
        q, k, v = (self.in_frames(self.qkv(f"{name}.attn", part, x, c.heads)) for part in range(3))
        rows = self.softmax_rows(q, k, 5)
        mixed = g.transpose(g.op("MatMul", rows, v), 0, 1, 3, 2, 4)  # (N, T, 1+P, H, E)
        tokens = self.add_mlp(
            name, self.add_mixed(name, tokens, g.reshape(g.cut(mixed, 2, 1, 1 + c.patches), -1, self.d))
        )
        cls = self.add_mlp(name, self.add_mixed(name, cls, self.mean_of_frames(g.cut(mixed, 2, 0, 1))))
        return tokens, cls, [g.cut(rows, 3, 0, 1)] if scored else []

    def last_block(self, tokens: str, cls: str, earlier: list[str]) -> tuple[str, str | None, str]:
        """Write the last block for CLS and the tokens that it selects alone. Returns CLS, selected rows, scores."""
        g, c, name = self.g, self.c, f"model.model.blocks.{self.c.depth - 1}"
        tokens = self.over_time(name, tokens)
        x = self.frames_with_cls(name, tokens, cls)
        k, v = (self.in_frames(self.qkv(f"{name}.attn", part, x, c.heads)) for part in (1, 2))
        at_cls = g.cut(g.reshape(x, -1, c.frames * (1 + c.patches), self.d), 1, 0, 1)
        q = self.qkv(f"{name}.attn", 0, g.reshape(at_cls, -1, self.d), c.heads)
        row = self.softmax_rows(g.reshape(q, -1, 1, c.heads, 1, self.d // c.heads), k, 5)  # (N, T, H, 1, 1+P)
        cls = self.add_mlp(name, self.add_mixed(name, cls, self.mean_of_frames(g.op("MatMul", row, v))))
        rows = row
        for more in earlier:
            rows = g.op("Add", rows, more)
        scores = g.op("ReduceSum", g.cut(rows, 4, 1, 1 + c.patches), g.ints(2, 3), keepdims=0)
        if c.features == ("g",):
            return cls, None, scores

        indices = f"chosen_{len(g.nodes)}"  # the name is part of the exported bytes
        top = ["unused_values", indices]
        g.nodes.append(helper.make_node("TopK", [scores, g.ints(c.selected)], top, name="select", axis=-1))
        patches = g.cut(g.reshape(x, -1, c.frames, 1 + c.patches, self.d), 2, 1, 1 + c.patches)
        if c.branch == "reference":
            q = self.qkv(f"{name}.attn", 0, g.reshape(patches, -1, self.d), c.heads)
            q = self.split(q, (-1, c.frames, c.patches), c.heads, (0, 1, 3, 2, 4))
            at = self.stored_at(indices)
            mixed = g.transpose(g.op("MatMul", self.softmax_rows(q, k, 5), v), 0, 1, 3, 2, 4)
            mixed, picked = self.pick(mixed, at, 1), self.pick(tokens, at, 1)
        else:
            at = g.op("Unsqueeze", indices, g.ints(-1))
            q = self.qkv(f"{name}.attn", 0, self.pick(patches, at, 2), c.heads)
            q = self.split(q, (-1, c.frames, c.selected), c.heads, (0, 1, 3, 2, 4))
            mixed = g.transpose(g.op("MatMul", self.softmax_rows(q, k, 5), v), 0, 1, 3, 2, 4)
            mixed, picked = g.reshape(mixed, -1, self.d), self.pick(tokens, at, 2)
        return cls, self.add_mlp(name, self.add_mixed(name, picked, mixed)), scores

    def frames_with_cls(self, name: str, tokens: str, cls: str) -> str:
        """Return rows (N*T*(1+P), D): the normalised CLS token before the normalised tokens of each frame."""
        tokens, cls = (self.norm(f"{name}.norm1", x, ENCODER_EPS) for x in (tokens, cls))
        return self.with_cls(cls, tokens, self.c.patches, per_frame=True)

    def in_frames(self, x: str) -> str:
        """Rows (N*T*(1+P), D) -> (N, T, H, 1+P, E)."""
        return self.split(x, (-1, self.c.frames, 1 + self.c.patches), self.c.heads, (0, 1, 3, 2, 4))

    def mean_of_frames(self, mixed: str) -> str:
        """Mean over frames of what CLS gathered, (N, T, 1 or H, H or 1, E) -> rows (N, D)."""
        return self.g.op("ReduceMean", self.g.reshape(mixed, -1, self.c.frames, self.d), self.g.ints(1), keepdims=0)

    def add_mixed(self, name: str, x: str, mixed: str) -> str:
        return self.g.op("Add", x, self.linear(f"{name}.attn.proj", mixed))

    def add_mlp(self, name: str, x: str) -> str:
        return self.g.op("Add", x, self.mlp(f"{name}.mlp", self.norm(f"{name}.norm2", x, ENCODER_EPS)))

    def stored_at(self, indices: str) -> str:
        """Return the positions t*P + p that the authors' code reads, (N, T*K, 1); see ``trainer.model.rostfine``."""
        g, c = self.g, self.c
        first = f"first_{len(g.initializers)}"
        offsets = (np.arange(c.frames, dtype=np.int64) * c.patches).reshape(1, -1, 1)
        g.initializers.append(numpy_helper.from_array(offsets, first))
        read = g.reshape(g.op("Add", indices, first), -1, c.frames * c.selected, 1)
        patch = g.op("Div", read, g.ints(c.frames))
        frame = g.op("Sub", read, g.op("Mul", patch, g.ints(c.frames)))
        return g.op("Add", g.op("Mul", frame, g.ints(c.patches)), patch)

    def pick(self, x: str, at: str, batch_dims: int) -> str:
        """Pick tokens by their place in the clip (``batch_dims`` 1) or in their frame (2); rows."""
        places = (self.c.frames * self.c.patches,) if batch_dims == 1 else (self.c.frames, self.c.patches)
        picked = self.g.op("GatherND", self.g.reshape(x, -1, *places, self.d), at, batch_dims=batch_dims)
        return self.g.reshape(picked, -1, self.d)

    # Branches and heads -------------------------------------------------------------------------------------------

    def branch(self, side: str, x: str, length: int) -> str:
        """Run branch "s" or "t" on sequences of ``length`` rows that begin with CLS; rows of CLS come out."""
        c = self.c
        if c.branch == "reference":
            for index in range(c.branch_depth):
                last = index == c.branch_depth - 1
                x = self.self_attention(f"mhsa_{side}.{index}", self.norm(f"norm_{side}1", x, BRANCH_EPS), length, last)
            return self.mlp(f"mlp_{side}", self.norm(f"norm_{side}2", x, BRANCH_EPS))
        for index in range(c.branch_depth):
            name, last = f"blocks_{side}.{index}", index == c.branch_depth - 1
            update = self.self_attention(f"{name}.attn", self.norm(f"{name}.norm1", x, BRANCH_EPS), length, last)
            if c.branch == "prenorm":
                update = self.g.op("Add", self.first_rows(x, length) if last else x, update)
            x = self.mlp(f"{name}.mlp", self.norm(f"{name}.norm2", update, BRANCH_EPS))
            if c.branch == "prenorm":
                x = self.g.op("Add", update, x)
        return x

    def self_attention(self, name: str, x: str, length: int, first_only: bool) -> str:
        """Attend within sequences of ``length`` rows; with ``first_only`` only their first rows ask."""
        g, c, heads = self.g, self.c, self.c.branch_heads
        asking, asked = (self.first_rows(x, length), 1) if first_only else (x, length)
        q = self.split(self.qkv(name, 0, asking, heads), (-1, asked), heads, (0, 2, 1, 3))
        k, v = (self.split(self.qkv(name, part, x, heads), (-1, length), heads, (0, 2, 1, 3)) for part in (1, 2))
        mixed = g.transpose(g.op("MatMul", self.softmax_rows(q, k, 4), v), 0, 2, 1, 3)
        return self.linear(f"{name}.proj", g.reshape(mixed, -1, c.width))

    def first_rows(self, x: str, length: int) -> str:
        """Return the first row of each sequence of ``length`` rows."""
        return self.g.reshape(self.g.cut(self.g.reshape(x, -1, length, self.d), 1, 0, 1), -1, self.d)

    def grade(self, features: dict[str, str]) -> None:
        """Write ``grade`` and ``heads``, in float32 from the logits on."""
        g, c = self.g, self.c
        if c.aggregation != "mean":
            used = [features[name] for name in c.features]
            if c.aggregation == "concat":
                joined = g.op("Concat", *used, axis=-1)
            else:
                joined = used[0]
                for more in used[1:]:
                    joined = g.op("Add", joined, more)
            grade = self.probabilities("head", joined, "grade")
            self.stack([grade] * HEADS)
            return
        each = {name: self.probabilities(f"head_{name}", features[name], f"head_{name}") for name in c.features}
        existing = g.op("Concat", *(g.reshape(head, -1, 1, NUM_GRADES) for head in each.values()), axis=1)
        grade = g.op("ReduceMean", existing, g.ints(1), out="grade", keepdims=0)
        self.stack([each.get(name, grade) for name in ("g", "s", "t")])

    def probabilities(self, name: str, x: str, out: str) -> str:
        logits = self.g.op("Cast", self.linear(name, x), to=TensorProto.FLOAT)
        return self.g.op("Softmax", logits, out=out, axis=-1)

    def stack(self, heads: list[str]) -> None:
        self.g.op("Concat", *(self.g.reshape(head, -1, 1, NUM_GRADES) for head in heads), out="heads", axis=1)


def _bilinear(source: int, target: int) -> Array:
    """Return the matrix (target, source) of bilinear resizing with half-pixel centres, edges repeated."""
    at = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.minimum(np.floor(at).astype(np.int64), max(source - 2, 0))
    matrix = np.zeros((target, source))
    matrix[np.arange(target), low] = 1 - (at - low)
    matrix[np.arange(target), np.minimum(low + 1, source - 1)] += at - low
    return matrix
