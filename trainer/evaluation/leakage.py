"""Did the scored clips help to make the model? What can be seen of it, in words: then its figures flatter."""

from pathlib import Path

from station.errors import MissingExtraError
from trainer.data.dataset import Clips, open_clips, read_hashes
from trainer.training.recipe import read_recipe


def find_leakage(run: Path | None, weights: Path | None, reference: Path | None, clips: Clips) -> str:
    """Return why the figures may flatter; empty where nothing shows that.

    Args:
        run: Training run that is scored; None: another thing is.
        weights: File of weights that is scored; None: another thing is.
        reference: Folder that the model was perhaps trained on.
        clips: The scored clips.
    """
    data, validation = _known_data(run, weights)
    if clips.sha256 == data:
        return "this run was trained on these clips: the figures say nothing about others"
    if clips.sha256 == validation:
        return "these clips chose this run's best epoch: the figures flatter a little"
    if reference:
        known = set(read_hashes(reference).values())
        hashes = read_hashes(clips.root)
        shared = sum(hashes[row.file] in known for row in clips.rows)
        if shared:
            return f"{shared} of the {len(clips)} scored clips are in {reference} too"
        both = set(clips.sources) & set(open_clips(reference, verify=False).sources)
        if both:
            return (
                f"{len(both)} sources (donors or videos) of the scored clips are in {reference} too, such as "
                f"{min(both)}: if a model was trained on them the figures flatter"
            )
    return ""


def _known_data(run: Path | None, weights: Path | None) -> tuple[str, str]:
    """Return the SHA-256 of the folders trained on and validated on, empty where nothing says them."""
    if run:
        recipe = read_recipe(run)
        return recipe.data, recipe.validation
    if weights:
        try:
            from trainer.model.weights import load_weights
        except ImportError as error:
            raise MissingExtraError('scoring weights needs torch; install it with pip install ".[train]"') from error
        values = load_weights(weights).recipe
        return str(values.get("data", "")), str(values.get("validation", ""))
    return "", ""
