"""The answer to "status": what the screen shows, as one typed value."""

from collections.abc import Collection, Mapping

from station.commands.requests import SpermStatus, StationStatus
from station.dashboard.assessment import alarms, cautions, no_grade, overall, sperm_views, worth
from station.dashboard.snapshot import Snapshot
from station.notice import NOTICE


def station_status(snapshot: Snapshot, marked: Collection[int], objectives: Mapping[str, float]) -> StationStatus:
    """Return the station as of a snapshot."""
    source, model, recording, tracks = snapshot.source, snapshot.model, snapshot.recording, snapshot.tracks
    sperm = [
        SpermStatus(
            sperm_id=view.track.sperm_id,
            x=view.track.x,
            y=view.track.y,
            state=view.track.state,
            reason=view.track.reason,
            filled=view.track.filled,
            marked=view.track.sperm_id in marked,
            grade=view.grade.grade if view.grade else None,
            grade_worth=worth(snapshot, view) if view.grade else no_grade(snapshot, view) if snapshot.blind else "",
            grade_age_ms=view.age_ms,
        )
        for view in sperm_views(snapshot)
    ]
    return StationStatus(
        notice=NOTICE,
        state=overall(snapshot).value,
        elapsed_s=snapshot.elapsed_s,
        source=source.name if source else None,
        fps=source.fps if source else None,
        um_per_px=source.um_per_px if source else None,
        objective=source.objective if source else "",
        objectives=dict(objectives),
        width=source.width if source else None,
        height=source.height if source else None,
        model=model.name if model else None,
        system=model.system if model else "",
        model_sha256=model.sha256 if model else None,
        demonstration=model.demonstration if model else None,
        replay=snapshot.replay,
        blind=snapshot.blind,
        session=recording.folder if recording else None,
        window_frames=tracks.window_frames if tracks else None,
        frame_seq=tracks.frame_seq if tracks else None,
        sperm=sperm,
        alarms=alarms(snapshot),
        cautions=cautions(snapshot),
    )
