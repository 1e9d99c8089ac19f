"""The window that a model was trained for, from its manifest, for configurations that do not say one.

It reads two numbers and checks nothing: a model that is not whole is refused by the engine, which opens it.
"""

from pathlib import Path

from station.files import read_json


def model_window(folder: Path) -> dict[str, int]:
    """Return ``frames`` and ``size`` of [window] as a model takes them; nothing where its manifest does not say."""
    try:
        network = read_json(folder / "manifest.json")["network"]
        return {"frames": int(network["frames"]), "size": int(network["clip_px"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return {}
