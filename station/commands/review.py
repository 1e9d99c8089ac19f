"""What a reviewer writes in a replay: marks and notes beside the session that is replayed, never into it."""

from pathlib import Path

from station.session.annotations import MOST_TEXT, Moment, Note, ReviewMark, annotate, clean
from station.session.session_reader import Session
from station.transport.control_messages import PlaybackInfo


def write_review(folder: Path, playback: PlaybackInfo | None, sperm_id: int | None, text: str) -> str:
    """Write a reviewer's mark of a sperm, or a note, and return what was done. Raises SessionError.

    It goes into ``annotations.jsonl`` beside the record, with the moment that is shown.
    """
    at = None if playback is None else Moment(frame_seq=playback.frame_seq, t_s=max(0.0, playback.position_s))
    session, text = Session(folder).start.session, clean(text, MOST_TEXT, "note")
    if sperm_id is None:
        annotate(folder, Note(session=session, text=text, at=at))
        return f"{text} (beside the recording)"
    annotate(folder, ReviewMark(session=session, sperm_id=sperm_id, text=text, at=at))
    return f"sperm {sperm_id} marked by the reviewer, beside the recording{f': {text}' if text else ''}"
