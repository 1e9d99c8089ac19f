"""Every tuned constant of the tracker, in one frozen value that is recorded with the session.

They were found on real and simulated footage with the bench (``bench/LOG.md``), not derived: to change one, run
``python -m bench tracking`` on both clips. Lengths are in head sizes (edge of the box round a head, ``_heads``) unless
the name says px; times are in seconds. A ``keep`` is the share of an old value that is kept per frame of the reference
rate (49 frames/s), and is scaled by the true interval. What a definition fixes (the WHO's limits in
``tracker.kinematics``) or what only costs memory or time is not here.

This module knows numbers, not what is done with them.
"""

from dataclasses import asdict, dataclass, field

Value = float | list[float]


@dataclass(frozen=True, slots=True)
class BackgroundParams:
    """The still picture of the field, and how much a pixel may differ from it."""

    history_s: float = 2.5
    """How far back the background looks: a head that rests longer becomes part of it."""
    sample_s: float = 0.08
    """A pixel is sampled so often: neighbouring frames show the same."""
    samples: tuple[int, int] = (9, 31)
    """Fewest and most samples of a pixel: a median of fewer is shaky, more cost memory and time."""
    dense_s: float = 0.2
    """After a start every frame is a sample for so long, so that heads leave the background soon."""
    deadband_levels: float = 2.0
    """Grey levels of difference that count as nothing, at least."""
    deadband_noise: float = 1.5
    """The same in standard deviations of the camera's noise."""
    noise_rate: float = 0.05
    """Share by which the measured noise follows each frame."""
    sigma_heads: float = 1 / 7
    """Smoothing of the energy (standard deviation): a head's own extent."""
    floor_levels: float = 0.5
    """Energy below this is nothing, in a field without noise."""
    floor_per_deadband: float = 0.25
    """How much the floor rises with each grey level of deadband above the least."""
    gap_intervals: float = 1.6
    """A frame that comes so many usual intervals after the last one follows a gap, whatever its number says."""
    usual_frames: int = 9
    """The usual interval is the median over so many frames: one odd interval is nothing, another rate is taken up."""
    another_rate: float = 2.0
    """The background is learnt anew when the frame rate has changed by such a factor."""


@dataclass(frozen=True, slots=True)
class DisturbanceParams:
    """What disturbs the whole field at once."""

    settling_frames: int = 8
    """The first frames tell what difference between frame and background is usual."""
    jump_share: float = 0.1
    """The field has changed where its difference from the background rises by more than this share of itself ..."""
    jump_steps: float = 6.0
    """... and by so many times the usual step."""
    usual_step_rate: float = 0.05
    """Share by which the usual step follows each frame."""
    settling_rate: float = 0.5
    """The same while it is being learnt."""
    step_levels: float = 4.0
    """The picture's middle grey level differs from the background's by more: the exposure was changed."""
    sharpness: tuple[float, float] = (0.6, 1.6)
    """Sharpness beside its own average: outside, the focus is being changed."""
    sharpness_s: float = 2.0
    """The average of the sharpness is taken over so long."""
    learn_s: float = 0.5
    """It is known after so long."""
    edges_percent: float = 99.0
    """Sharpness is the grey level step that only the sharpest edges pass: heads and debris, not the camera's noise."""
    step_px: int = 4
    """A step is taken over so many px."""
    look_s: float = 0.018
    """In a field at rest, stage and focus are looked at with the frame that is nearest to so long after the last look:
    with every one up to 80 frames/s, with every third at 160."""
    dark_level: int = 3
    """A frame whose 95th percentile is no higher shows nothing."""
    bright_level: int = 252
    """A frame whose 5th percentile is no lower shows nothing."""


@dataclass(frozen=True, slots=True)
class PictureParams:
    """When a picture is bad: found on the clips and the simulation, see decision 57."""

    frozen_repeats: int = 2
    """The camera counts as frozen where so many frames in a row are each exactly one of the 64 before."""
    least_sharpness: float = 0.37
    """Sharpness below which the picture is out of focus; real and simulated ones in focus have 0.41 and more."""
    sharp_again: float = 0.39
    """Sharpness from which it is in focus again."""
    sharpness_every_s: float = 0.1
    """Sharpness is measured so often: nobody turns a knob faster."""
    near_heads: float = 0.1
    """Sharpness: what the steepest edges rise over this ..."""
    far_heads: float = 0.4
    """... beside what they rise over this."""
    soft_heads: float = 1 / 7
    """Sharpness: the picture is averaged over so much first, against the camera's noise."""
    edges_percent: float = 99.8
    """The steepest edges are those that so many percent of all places do not reach."""
    least_edge_levels: float = 15.0
    """Edges lower than this say nothing: they may be noise."""
    most_saturated: float = 0.05
    """Share of saturated pixels above which the picture is too bright; on the clips it is 0.00002."""
    least_brightest: float = 16.0
    """Grey level that 99 % of the pixels do not pass, below which the picture is too dark: 4 of 8 bits are unused. On
    the clips it is 85 and more."""


@dataclass(frozen=True, slots=True)
class EvidenceParams:
    """From when on what happened during a window makes its grade a disturbed one."""

    most_stage_heads: float = 0.25
    """Way of the stage; less is within its measurement's error over a window."""
    least_apart_heads: float = 0.57
    """Distance to another head: nearer, the two overlap (``CrossingParams.meet_heads``)."""
    apart_heads: float = 0.67
    """It crosses only if it has been farther than this (``CrossingParams.part_heads``) ..."""
    apart_s: float = 0.2
    """... for so long: what never was may be the sperm's own midpiece, or lie beside it for good."""


@dataclass(frozen=True, slots=True)
class StageParams:
    """How far the stage has moved the picture. "Small" px are those of the picture shrunk to ``working_head_px``."""

    grid: tuple[int, int] = (5, 6)
    """Patches are the places with most texture in so many rows x columns of cells."""
    working_head_px: float = 10.0
    """The search runs on a picture shrunk until a head measures so many px."""
    patch_px: int = 11
    """Half the edge of a patch, small px."""
    search_px: int = 9
    """Search radius, small px."""
    least_fit: float = 0.55
    """Least correlation of a patch that votes."""
    agree_px: float = 1.25
    """Votes within this many small px of their median agree."""
    least_votes: int = 5
    """So many votes have to agree ..."""
    least_share: float = 0.3
    """... and so large a share of the patches in sight."""
    renew_frames: int = 10
    """The picture that is compared with is kept for so many frames ..."""
    renew_px: int = 8
    """... or until the field has moved so far, small px."""
    still_px: float = 0.35
    """A smaller move (full px) is none: it is within the measurement's error and would only shake the tracks."""
    jump_response: float = 0.03
    """Least peak of the phase correlation that is worth confirming."""


@dataclass(frozen=True, slots=True)
class DetectionParams:
    """What may be a head, and how large heads are."""

    default_head_px: float = 21.0
    """Head size until one was measured."""
    scale_step: float = 1.15
    """Ratio of neighbouring scales at which the head size is sought."""
    first_scale_px: float = 1.2
    """Smallest scale (standard deviation)."""
    scales: int = 20
    """Number of scales."""
    size_percent: float = 70.0
    """Percentile of the measured sizes that counts: heads seen end on, and small things, look smaller."""
    head_per_scale: float = 7.9
    """Edge of the box round a head, in standard deviations of its best scale (from hand-made boxes)."""
    area_px: int = 60
    """Half edge of the area that is measured."""
    middle_px: int = 8
    """Half edge of its middle, where the answer counts."""
    leading: int = 15
    """The head size comes from so many heads, those that move most ..."""
    leading_floors: float = 4.0
    """... and whose energy is over so many times the floor."""
    leading_apart_heads: float = 1.0
    """Those are so far apart."""
    moving_weight: float = 3.0
    """A selected point means what moves first: energy counts so many times the contrast."""
    surround_heads: float = 1.2
    """Radius of the surroundings that a head is compared with (standard deviation)."""
    apart_heads: float = 0.3
    """Maxima of one map that are nearer are one candidate."""
    same_heads: float = 0.19
    """Maxima of several maps that are nearer are one candidate."""
    part_scale: float = 0.8
    """Scale at which bright and dark parts are sought, beside that of a head."""
    least_contrast: float = 8.0
    """A candidate's contrast is at least this many times the field's median contrast ..."""
    least_contrast_levels: float = 1.0
    """... and at least so many grey levels."""
    nearness_heads: float = 0.25
    """A selected point means the highest value weighted by a Gaussian of nearness (standard deviation)."""
    nearness_reach: float = 2.5
    """That is looked for within so many of its standard deviations."""
    snap_heads: float = 1.0
    """Where nothing is so near, the nearest candidate within this is meant."""
    watch_s: float = 0.4
    """Automatic selection waits until the field has been watched for so long."""
    soon_out_heads: float = 8.0
    """Automatic selection: a head nearer to the frame's edge may soon have left it and ranks lower, down to half."""
    lonely_heads: float = 2.0
    """Automatic selection: others within this count against a head, and nothing nearer to the edge is taken."""
    large: float = 2.0
    """Automatic selection: what answers more strongly at so many times a head's scale is no head."""
    lonely_share: float = 0.5
    """Automatic selection: share of the strongest such neighbour's energy that counts against a head."""


@dataclass(frozen=True, slots=True)
class MatchingParams:
    """The score of a place in the search area."""

    energy_weight: float = 1.2
    """Weight of the energy beside the correlation, which is at most 1."""
    distance_weight: float = 0.3
    """Weight of the squared distance from the prediction, in its standard deviations."""
    background_share: float = 0.4
    """Part of the background that is taken out of the appearance: debris must not catch templates, and a head that
    rests must not vanish."""
    template_heads: float = 1.1
    """Edge of a template."""
    reach_heads: float = 0.57
    """Search radius at the reference frame rate."""
    sigma_heads: float = 0.24
    """Uncertainty of a prediction at the reference frame rate (standard deviation)."""
    most_slack: float = 2.0
    """Search radius and uncertainty grow with the root of the interval, up to this factor."""


@dataclass(frozen=True, slots=True)
class HeadParams:
    """What is learnt of one followed head, and what is round it."""

    velocity_keep: float = 0.8
    """Velocity: heads turn within a few frames."""
    template_keep: float = 0.9
    """Looks: heads roll, so the template has to follow; slower, it is lost with them."""
    reference_keep: float = 0.95
    """Energy reference, learnt from the highest energy near the head: from the track's own place it would fall with a
    track that slides off, and stop pulling it back."""
    ncc_keep: float = 0.8
    """Smoothed correlation."""
    energy_keep: float = 0.8
    """Smoothed energy."""
    energy_long_keep: float = 0.98
    """Long-term energy, which the smoothed one is compared with."""
    spread_keep: float = 0.8
    """Smoothed energy round the head."""
    still_heads: float = 0.3
    """A head that stays within this is still."""
    local_heads: float = 0.38
    """The highest energy near a head is looked for within this."""
    core_heads: float = 0.3
    """Half edge of the square that is a head's own."""
    ring_heads: tuple[float, float] = (0.7, 1.3)
    """Half edges of the square ring that is round it."""
    peak_apart_heads: float = 0.3
    """Peaks of the energy that are nearer are one."""
    most_peaks: int = 6
    """So many peaks of the energy are looked at round a place."""
    ghost_heads: float = 0.2
    """Half edge of the square in which energy without contrast is looked for: a head that rested has left it."""
    ghost_contrast: float = 0.5
    """Contrast is less than so many times the energy there."""
    steady_frames: int = 8
    """The velocity before a crossing is fitted over so many frames ..."""
    steady_skip_frames: int = 2
    """... that end so many frames before, when the other head was not yet near."""


@dataclass(frozen=True, slots=True)
class NeighbourParams:
    """Other heads near a selected one that are followed too, so that they are not mistaken for it."""

    near_heads: float = 0.8
    """Nearer than this it is the selected head itself."""
    near_first_heads: float = 0.6
    """The same when the head is selected: whatever touches it is separate now or never."""
    far_heads: float = 2.9
    """Heads within this are followed too ..."""
    drop_heads: float = 3.5
    """... until they are farther than this."""
    least_energy: float = 0.35
    """A neighbour has at least this share of the selected head's energy."""
    faded_floors: float = 0.5
    """A neighbour whose smoothed energy is below this many floors is dropped."""
    look_s: float = 0.05
    """New neighbours are looked for so often."""
    on_one_heads: float = 0.25
    """Two tracks that are nearer are on one head."""
    free_heads: float = 0.5
    """A head farther than this from every track is claimed by none."""
    unclaimed_heads: float = 1.6
    """Such a head is looked for so far around two tracks that are on one."""
    seek_free_s: float = 0.06
    """Two tracks are on one head for so long before a free head is looked for."""
    drop_double_s: float = 0.3
    """Two tracks are on one head for so long before a neighbour's is dropped."""


@dataclass(frozen=True, slots=True)
class CrossingParams:
    """Heads that come close, and who is who once they are apart again."""

    close_heads: float = 1.2
    """Predictions that are nearer share their peaks out jointly."""
    peaks: int = 5
    """So many peaks of each are considered."""
    share_heads: float = 0.45
    """Two heads that are nearer are taken to sit on one peak, fading to nothing at that distance."""
    share_penalty: float = 1.5
    """What sitting on one peak costs of the score."""
    meet_heads: float = 0.57
    """A crossing begins when two heads are nearer ..."""
    part_heads: float = 0.67
    """... and is judged when they are farther."""
    swap_margin: float = 1.0
    """Identities are swapped where that fits better by so much: misplacement in units of ``meet_heads``, plus
    correlation."""
    unknown_s: float = 0.2
    """Of a head that meets another so soon after it was selected no steady motion is known."""
    forget_s: float = 1.5
    """A crossing that lasts longer is not judged: nothing can be extrapolated so far."""


@dataclass(frozen=True, slots=True)
class ReacquisitionParams:
    """Where a lost head may be found again."""

    seek_s: float = 3.0
    """A lost head is sought for so long."""
    reach_heads: tuple[float, float] = (0.8, 4.0)
    """Within a reach that grows with its speed, from the first to the second value."""
    least_ncc: float = 0.75
    """It is found where one head alone correlates better with its last good looks ..."""
    margin_ncc: float = 0.1
    """... and every other one worse by this."""
    around_heads: float = 0.3
    """A peak of the energy may be so far from where the template fits."""
    least_energy: float = 0.5
    """It has at least this share of the energy that it had."""
    apart_heads: float = 0.5
    """It is so far from every head that is followed already."""


@dataclass(frozen=True, slots=True)
class StateParams:
    """When a position can be vouched for."""

    acquire_s: float = 0.04
    """A new head is watched for so long first."""
    still_s: float = 1.0
    """A head that has not moved for so long has become background: that it has no energy says nothing."""
    border_heads: float = 0.29
    """Nearer to the frame's edge a head may be cut off."""
    outside_heads: float = 0.5
    """A head whose centre is farther outside the frame has left it."""
    most_spread: float = 0.45
    """Energy round the head beside the head's own: above, it lies in a clump or the track has slid onto one."""
    unsure_s: float = 0.2
    """Another track may lie on the same place for so long before it counts."""
    least_ncc: float = 0.5
    """Smoothed correlation below which a head looks different."""
    least_alive: float = 0.5
    """Smoothed energy beside its long-term value: below, the head has faded or the track has slid off."""
    lost_after_s: float = 0.5
    """So long without support, or without a frame, and a head is lost."""


@dataclass(frozen=True, slots=True)
class TwinParams:
    """Two heads that were one when one of them was selected."""

    young_s: float = 0.5
    """A second head that comes forth beside one selected so recently may be the one that was meant ..."""
    birth_heads: float = 1.2
    """... where it does so nearer than this, not having come from elsewhere, and then parts from it by as much ..."""
    least_energy: float = 0.6
    """... and the weaker of the two has over this share of the other's energy ..."""
    margin_ncc: float = 0.2
    """... and does not fit the looks at selection worse by this."""


@dataclass(frozen=True, slots=True)
class PointedParams:
    """The still head that a point means though something else moves there."""

    area_heads: float = 2.0
    """Half edge of the area that is looked at."""
    still_contrast: float = 0.5
    """What lies still is in the background with so many times the contrast that the frame has there ..."""
    most_energy: float = 0.25
    """... and is what the frame shows where the energy is at most so many times its contrast: of moving heads that the
    background has traces of it was 0.30 and more on the clips ..."""
    least_ncc: float = 0.75
    """... or its looks correlate with the frame by so much: on the clips 0.70 and less for such traces, 0.78 and more
    for still heads, but for two that roll ..."""
    margin_heads: float = 0.25
    """... and is meant where it is nearer to the point by so much than what moves."""
    hidden_ncc: float = 0.4
    """It may be what was meant, and hidden, where they correlate by so much: two, one over the other, add up ..."""
    hidden_contrast: float = 2.0
    """... to at most so many times the contrast of one, and what moves is not nearer by that margin."""


@dataclass(frozen=True, slots=True)
class HomeParams:
    """Where a selected head rests, and when it is still there."""

    rest_s: float = 0.4
    """A head that has stayed for so long has a home; one just selected has it at once."""
    stay_heads: float = 0.7
    """It stays while its track is within this."""
    hold_heads: float = 0.14
    """It is looked for within this of home."""
    least_ncc: float = 0.75
    """It is there where the looks of home correlate by so much ..."""
    contrast: tuple[float, float] = (0.6, 1.6)
    """... and have so many times their contrast."""
    template_keep: float = 0.97
    """The looks of home: slow, so that a passer does not become them."""
    learn_heads: float = 0.25
    """They are learnt while the track is within this of home."""
    apart_heads: float = 0.35
    """A track farther than this from home may be another's: the two places are compared."""
    gone_ncc: float = 0.6
    """The head has left an undisturbed home where its looks fit by so much where the track is, and better than there
    ..."""
    most_energy: float = 3.0
    """... with at most so many times the energy that it had at home, as long as another head hides that ..."""
    sure_ncc: float = 0.9
    """... or fits by as much as this."""
    hide_heads: float = 0.9
    """The track, and every other head, hide home while they are within this."""
    empty_ncc: float = 0.5
    """Home in full sight is empty where its looks fit worse than this ..."""
    empty_s: float = 0.1
    """... for so long, or, hidden, for ``hidden_s``."""
    disturbed_empty_ncc: float = 0.3
    """The same of a home that another head has come close to: the looks known of it may be in part that head's."""
    unlike_ncc: float = 0.45
    """Home in full sight is also empty where its looks fit worse than this, and better where the track is ..."""
    hidden_s: float = 0.4
    """... for so long: a passer hides it for less."""
    disturb_share: float = 0.5
    """Another head that is close disturbs home if it has at least so much of the energy that is at home ..."""
    disturb_floors: float = 4.0
    """... and, where it is not followed, over so many floors ..."""
    still_contrast: float = 0.5
    """One that is selected lies over another if it moves, and the background there has so much of its contrast."""
    disturb_heads: float = 0.3
    """... and is farther than this: nearer, it is the head itself. What is followed then may be either."""
    forget_s: float = 1.5
    """After so long elsewhere in doubt the new place is home, and the sperm stays in doubt."""
    template_heads: float = 0.75
    """Edge of the looks of home: the head alone, as whatever passes beside it does not count."""


@dataclass(frozen=True, slots=True)
class TrackerParams:
    """All of them, by what they are about."""

    background: BackgroundParams = field(default_factory=BackgroundParams)
    disturbance: DisturbanceParams = field(default_factory=DisturbanceParams)
    picture: PictureParams = field(default_factory=PictureParams)
    evidence: EvidenceParams = field(default_factory=EvidenceParams)
    stage: StageParams = field(default_factory=StageParams)
    detection: DetectionParams = field(default_factory=DetectionParams)
    matching: MatchingParams = field(default_factory=MatchingParams)
    head: HeadParams = field(default_factory=HeadParams)
    neighbour: NeighbourParams = field(default_factory=NeighbourParams)
    crossing: CrossingParams = field(default_factory=CrossingParams)
    reacquisition: ReacquisitionParams = field(default_factory=ReacquisitionParams)
    twin: TwinParams = field(default_factory=TwinParams)
    pointed: PointedParams = field(default_factory=PointedParams)
    home: HomeParams = field(default_factory=HomeParams)
    state: StateParams = field(default_factory=StateParams)

    def flat(self) -> dict[str, Value]:
        """Return all values by "group.name", as a session's record keeps them."""
        return {
            f"{group}.{name}": list(value) if isinstance(value, tuple) else value
            for group, values in asdict(self).items()
            for name, value in values.items()
        }


DEFAULT_PARAMS = TrackerParams()
"""What the station tracks with."""


def differences(recorded: dict[str, Value]) -> list[str]:
    """Return in words where recorded parameters are not the present ones: "state.still_s 1.0 then, 0.8 now"."""
    present = DEFAULT_PARAMS.flat()
    names = sorted(recorded.keys() | present.keys())
    return [
        f"{name} {recorded.get(name, 'unknown')} then, {present.get(name, 'unknown')} now"
        for name in names
        if recorded.get(name) != present.get(name)
    ]
