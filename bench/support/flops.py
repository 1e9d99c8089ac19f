"""Multiply-adds per clip, counted from the network's shape.

Matrix products only, because the machine's ceiling is measured with them; the cost of normalisation, softmax, GELU and
data movement shows as the share of the ceiling that is missing. A test compares the count with the exported graph. A
network in training, which ``trainer.model.counting`` counts as papers do, has one linear layer a block more: the export
makes one of the two that follow attention over time.
"""

from engine.artifact import NUM_GRADES, NetworkConfig


def multiply_adds(c: NetworkConfig) -> dict[str, int]:
    """Return multiply-adds of one clip by part of the exported graph."""
    tokens, rows, d = c.frames * c.patches, c.frames * (1 + c.patches), c.width
    selected, square = c.frames * c.selected, d * d
    embedding = tokens * c.patch_px**2 * d
    if c.clip_px != c.image_px:
        embedding += c.frames * c.image_px * c.clip_px * (c.clip_px + c.image_px)
    temporal = tokens * 4 * square + 2 * tokens * c.frames * d
    mlp = 2 * c.mlp_ratio * square
    spatial = rows * 3 * square + 2 * rows * (1 + c.patches) * d + (tokens + 1) * (square + mlp)
    # In the last block all tokens are keys but only CLS and the selected ones queries; in the authors' order all are.
    asking = tokens if c.branch == "reference" else selected
    last = (rows * 2 + 1) * square + 2 * rows * d + square + mlp
    if c.features != ("g",):
        last += asking * square + 2 * asking * (1 + c.patches) * d + selected * (square + mlp)
    branches = 0
    if "s" in c.features:
        branches += _branch(c, c.frames, 1 + c.selected)
    if "t" in c.features:
        branches += _branch(c, 1, 1 + selected)
    heads = d * NUM_GRADES * (1 if c.aggregation == "sum" else len(c.features))
    return {
        "embedding": embedding,
        "temporal attention": c.depth * temporal,
        "spatial attention and MLPs": (c.depth - 1) * spatial + last,
        "branches": branches,
        "heads": heads,
    }


def _branch(c: NetworkConfig, sequences: int, length: int) -> int:
    """Return multiply-adds of one branch on sequences of a length, of which only the first token is used."""
    rows, square = sequences * length, c.width**2
    mlp = 2 * c.branch_mlp_ratio * square
    inner = rows * 4 * square + 2 * rows * length * c.width
    last = (2 * rows + 2 * sequences) * square + 2 * rows * c.width
    if c.branch == "reference":
        return (c.branch_depth - 1) * inner + last + sequences * mlp
    return (c.branch_depth - 1) * (inner + rows * mlp) + last + sequences * mlp
