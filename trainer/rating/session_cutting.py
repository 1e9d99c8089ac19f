"""Clips to rate, straight from recorded sessions: the windows that were graded at the microscope, without the grades.

What the network said of them lies beside the clips (``graded.csv``) and is shown to no rater.
"""

from collections.abc import Sequence
from pathlib import Path

from station.errors import InputError
from station.session.lookup import find_session
from trainer.data.clip_files import NPZ
from trainer.data.clip_folder_writer import ClipFolderWriter
from trainer.data.cuts import CutSettings
from trainer.data.session_clips import cut_session


def cut_sessions(data: Path, named: Sequence[str], parent: str | None, windows: int) -> list[str]:
    """Make a folder of the clips of sessions, at most ``windows`` of a sperm; return what is to be said of it.

    ``parent``: folder that holds the sessions; None: the user's.

    Raises InputError where the folder is there, a session cannot be used, or nothing was cut.
    """
    if data.exists():
        raise InputError(f"{data} exists already; leave --sessions out, or give another folder for their clips")
    if windows < 1:
        raise InputError(f"--windows {windows}: must be at least 1")
    settings = CutSettings(windows=windows)
    folder = ClipFolderWriter(data, settings, None, NPZ)
    said: list[str] = []
    for session in dict.fromkeys(find_session(name, parent) for name in named):
        said += folder.add_session(cut_session(session, settings, lambda _: None))
    if not folder.rows:
        raise InputError(f"no clip was cut from {len(named)} sessions: none of their windows was graded")
    folder.finish()
    return [*said, *folder.remarks, f"{len(folder.rows)} clips in {data}, as they were graded"]
