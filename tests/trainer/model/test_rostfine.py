"""RoSTFine against the equations, written out in float64 numpy with no shared code."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")

from engine.artifact import NetworkConfig  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402

Array = NDArray[np.float64]

SMALL = {
    "frames": 3, "clip_px": 20, "image_px": 24, "patch_px": 8, "width": 24, "depth": 3, "heads": 2, "selected": 2,
    "branch_depth": 2, "branch_heads": 3,
}  # fmt: skip


# The equations ------------------------------------------------------------------------------------------------------


def norm(x: Array, w: dict[str, Array], name: str, eps: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x: Array) -> Array:
    # x times the normal distribution function; erf by torch, in float64.
    return x * 0.5 * (1 + torch.erf(torch.from_numpy(x / np.sqrt(2))).numpy())


def mlp(x: Array, w: dict[str, Array], name: str) -> Array:
    return linear(gelu(linear(x, w, f"{name}.fc1")), w, f"{name}.fc2")


def attention(x: Array, w: dict[str, Array], name: str, heads: int) -> tuple[Array, Array]:
    """Return the outcome (S, D) for one sequence and the maps (heads, S, S)."""
    q, k, v = np.split(linear(x, w, f"{name}.qkv"), 3, axis=-1)
    size = x.shape[-1] // heads
    maps, mixed = [], []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        maps.append(softmax(q[:, part] @ k[:, part].T / np.sqrt(size)))
        mixed.append(maps[-1] @ v[:, part])
    return linear(np.concatenate(mixed, axis=-1), w, f"{name}.proj"), np.stack(maps)


def bilinear(picture: Array, size: int) -> Array:
    """Resize one image, half-pixel centres."""
    at = np.clip((np.arange(size) + 0.5) * len(picture) / size - 0.5, 0, len(picture) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(picture) - 1)
    rows = picture[low] * (1 - (at - low))[:, None] + picture[high] * (at - low)[:, None]
    return rows[:, low] * (1 - (at - low)) + rows[:, high] * (at - low)


def evaluate(clip: NDArray[np.uint8], w: dict[str, Array], c: NetworkConfig, *, authors_order: bool) -> dict[str, Any]:
    """Grade one clip (T, H, W), token by token: the encoder, PSM, FGS, FGT and the heads."""
    e = "model.model."
    grid, p = c.image_px // c.patch_px, c.patch_px
    x = np.zeros((c.frames, grid * grid, c.width))  # x[t, patch]
    for t in range(c.frames):
        picture = (bilinear(clip[t].astype(np.float64), c.image_px) / 255 - 0.45) / 0.225
        for i in range(grid * grid):
            row, column = divmod(i, grid)
            patch = picture[row * p : (row + 1) * p, column * p : (column + 1) * p]
            colour = np.stack([patch] * 3)  # grey video: three equal channels
            x[t, i] = (w[f"{e}patch_embed.proj.weight"] * colour).sum((1, 2, 3)) + w[f"{e}patch_embed.proj.bias"]
            x[t, i] += w[f"{e}pos_embed"][0, 1 + i] + w[f"{e}time_embed"][0, t]
    cls = w[f"{e}cls_token"][0, 0] + w[f"{e}pos_embed"][0, 0]

    rows = []  # CLS rows of the spatial attention, per block: (T, P), summed over heads
    for b in range(c.depth):
        name = f"{e}blocks.{b}"
        update = np.zeros_like(x)
        for i in range(x.shape[1]):
            update[:, i] = attention(
                norm(x[:, i], w, f"{name}.temporal_norm1", 1e-6), w, f"{name}.temporal_attn", c.heads
            )[0]
        x = x + linear(update, w, f"{name}.temporal_fc")
        update, cls_updates, row = np.zeros_like(x), [], []
        for t in range(c.frames):
            sequence = norm(np.concatenate([cls[None], x[t]]), w, f"{name}.norm1", 1e-6)
            outcome, maps = attention(sequence, w, f"{name}.attn", c.heads)
            cls_updates.append(outcome[0])
            update[t] = outcome[1:]
            row.append(maps[:, 0, 1:].sum(0))
        rows.append(np.stack(row))
        cls, x = cls + np.mean(cls_updates, axis=0), x + update
        cls = cls + mlp(norm(cls, w, f"{name}.norm2", 1e-6), w, f"{name}.mlp")
        x = x + mlp(norm(x, w, f"{name}.norm2", 1e-6), w, f"{name}.mlp")
    v_g, x = norm(cls, w, f"{e}norm", 1e-6), norm(x, w, f"{e}norm", 1e-6)

    scores = np.sum(rows[-c.score_blocks :], axis=0)
    chosen = np.argsort(-scores, axis=1)[:, : c.selected]
    readable = x
    if authors_order:  # stored patch after patch, read as if frame after frame
        readable = x.transpose(1, 0, 2).reshape(-1, c.width).reshape(x.shape)
    selected = np.stack([readable[t, chosen[t]] for t in range(c.frames)])
    v_s = np.mean([branch(np.concatenate([v_g[None], selected[t]]), "s", w, c) for t in range(c.frames)], axis=0)
    v_t = branch(np.concatenate([v_g[None], selected.reshape(-1, c.width)]), "t", w, c)
    found = {"g": v_g, "s": v_s, "t": v_t}
    if c.aggregation == "mean":
        each = {name: softmax(linear(found[name], w, f"head_{name}")) for name in c.features}
        grade = np.mean(list(each.values()), axis=0)
    else:
        join = np.concatenate if c.aggregation == "concat" else sum
        grade = softmax(linear(join([found[name] for name in c.features]), w, "head"))
        each = {}
    heads = np.stack([each.get(name, grade) for name in "gst"])
    return {"grade": grade, "heads": heads, "attention": scores, "v_g": v_g, "v_s": v_s, "v_t": v_t}


def branch(x: Array, side: str, w: dict[str, Array], c: NetworkConfig) -> Array:
    """Return the first token of a sequence (S, D) after branch "s" or "t"."""
    if c.branch != "reference" and f"blocks_{side}.0.norm1.weight" not in w:
        return np.full(c.width, np.nan)  # the network has no such branch
    for index in range(c.branch_depth):
        if c.branch == "reference":  # one norm for all, no residual
            x = attention(norm(x, w, f"norm_{side}1", 1e-5), w, f"mhsa_{side}.{index}", c.branch_heads)[0]
            continue
        name, keep = f"blocks_{side}.{index}", 1.0 if c.branch == "prenorm" else 0.0
        x = keep * x + attention(norm(x, w, f"{name}.norm1", 1e-5), w, f"{name}.attn", c.branch_heads)[0]
        x = keep * x + mlp(norm(x, w, f"{name}.norm2", 1e-5), w, f"{name}.mlp")
    if c.branch == "reference":
        x = mlp(norm(x, w, f"norm_{side}2", 1e-5), w, f"mlp_{side}")
    return x[0]


# The tests ----------------------------------------------------------------------------------------------------------


def lively(config: NetworkConfig, seed: int = 0) -> Rostfine:
    """Return a network whose weights are large enough for differences to show."""
    torch.manual_seed(seed)
    network = Rostfine(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * (0.15 if weight.ndim > 1 else 0.1))
    return network


def clips_of(config: NetworkConfig, count: int = 2) -> NDArray[np.uint8]:
    shape = (count, config.frames, config.clip_px, config.clip_px)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def worst(network: Rostfine, clips: NDArray[np.uint8], *, authors_order: bool) -> dict[str, float]:
    """Return the largest difference of each output from the equations."""
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        output = network(torch.from_numpy(clips))._asdict()
    differences: dict[str, float] = {}
    for index, clip in enumerate(clips):
        expected = evaluate(clip, weights, network.config, authors_order=authors_order)
        present = network.config.features if network.config.aggregation == "mean" else ("g",)
        expected["log_heads"] = np.log(expected["heads"][[("g", "s", "t").index(name) for name in present]])
        for name, tensor in output.items():
            if tensor is not None:
                off = np.abs(tensor[index].double().numpy() - expected[name]).max()
                differences[name] = max(differences.get(name, 0.0), float(off))
    return differences


CASES = {
    "paper": preset("station", branch="paper", **SMALL),
    "reference": preset("station", branch="reference", **SMALL),
    "prenorm": preset("station", branch="prenorm", **SMALL),
    "one score block": preset("station", **SMALL, score_blocks=1),
    "all score blocks": preset("station", **SMALL, score_blocks=3),
    "one branch block": preset("station", **(SMALL | {"branch_depth": 1})),
    "all patches": preset("station", **(SMALL | {"selected": 9})),
    "no resizing": preset("station", **(SMALL | {"clip_px": 24})),
    "smaller picture": preset("station", **(SMALL | {"clip_px": 31})),
    "v_g alone": preset("station", **SMALL, features=("g",)),
    "v_s alone": preset("station", **SMALL, features=("s",)),
    "v_g and v_t": preset("station", **SMALL, features=("g", "t")),
    "concatenated": preset("station", **SMALL, aggregation="concat"),
    "concatenated v_s and v_t": preset("station", **SMALL, aggregation="concat", features=("s", "t")),
    "summed": preset("station", **SMALL, aggregation="sum"),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_equations(case: str) -> None:
    config = CASES[case]
    differences = worst(lively(config), clips_of(config), authors_order=config.branch == "reference")
    assert max(differences.values()) < 1e-5, differences


@pytest.mark.parametrize("name", ["paper", "reference", "prenorm"])
def test_order_of_frames_and_patches(name: str) -> None:
    """The reference branch reads tokens in the authors' order, the others in the paper's, and the two differ."""
    network, clips = lively(CASES[name]), clips_of(CASES[name])
    right = worst(network, clips, authors_order=name == "reference")
    wrong = worst(network, clips, authors_order=name != "reference")
    assert right["grade"] < 1e-6
    assert wrong["v_s"] > 1e-2
    assert wrong["v_t"] > 1e-2
    assert wrong["v_g"] < 1e-5, "the order is a matter of the selection alone"


def test_grey_video_in_colour_gives_the_same() -> None:
    network = lively(CASES["prenorm"])
    clips = torch.from_numpy(clips_of(CASES["prenorm"]))
    with torch.inference_mode():
        mono, colour = network(clips), network(clips[..., None].expand(-1, -1, -1, -1, 3))
    torch.testing.assert_close(colour.grade, mono.grade, atol=1e-6, rtol=0)


def test_float_clips_are_grey_levels_too() -> None:
    network, clips = lively(CASES["prenorm"]), torch.from_numpy(clips_of(CASES["prenorm"]))
    with torch.inference_mode():
        torch.testing.assert_close(network(clips.float()).grade, network(clips).grade, atol=0, rtol=0)


def test_probabilities() -> None:
    network = lively(CASES["paper"])
    with torch.inference_mode():
        output = network(torch.from_numpy(clips_of(CASES["paper"], 4)))
    torch.testing.assert_close(output.grade.sum(-1), torch.ones(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(output.heads.mean(1), output.grade, atol=1e-6, rtol=0)
    assert output.attention.shape == (4, 3, 9)


@pytest.mark.parametrize("name", ["paper", "reference", "prenorm"])
def test_every_weight_learns(name: str) -> None:
    """A weight without a gradient is one that no token reaches; K covers all patches so that none is left out."""
    network = lively(dataclasses.replace(CASES[name], selected=9))
    output = network(torch.from_numpy(clips_of(CASES[name])))
    torch.autograd.backward(output.heads.pow(2).sum())
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


def test_presets() -> None:
    base = preset("base")
    assert (base.patches, base.selected, base.branch_depth, base.branch_heads, base.score_blocks) == (196, 3, 6, 8, 2)
    assert (preset("base", branch="reference").branch_depth, preset("base", branch="reference").score_blocks) == (2, 1)
    assert preset("station").patches == 25


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"patch_px": 7}, "not a multiple of patch_px"),
        ({"heads": 5}, "not a multiple of heads"),
        ({"branch_heads": 5}, "not a multiple of branch_heads"),
        ({"selected": 10}, "must be from 1 to the 9 patches"),
        ({"score_blocks": 4}, "must be from 1 to depth 3"),
        ({"features": ()}, "must be some of"),
        ({"features": ("s", "g")}, "in this order"),
        ({"depth": 0}, "must be from 1 to depth 0"),
        ({"frames": 0}, "must be at least 1"),
        ({"branch_depth": 0}, "must be at least 1"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        dataclasses.replace(CASES["prenorm"], **change)
